"""Attention over bags: the formula, parts, draws, memory, refusals, and that it finds a needle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from bags_example import needles

from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import Target
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, AttentionConfig, HeadConfig
from fusion.features import FeatureTable, RowBags, Standardizer
from fusion.models.attention import GatedAttention
from fusion.models.attention_head import AttentionHeadModel, top_tiles
from fusion.models.registry import make_model
from fusion.models.tiles import TileBags, TileReader, tile_scales
from fusion.testing.tables import bagged

UNI = Modality("uni", embeddings=("uni",))
CPU = torch.device("cpu")
AMPLE = 100_000_000


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    """Four bags of 30 tiles; the last row has two of them, and one has none."""
    made = needles(tmp_path_factory.mktemp("bags"), 5, 30)
    bags = made.bags["uni"]
    keys = [*bags.keys[:3], (), (*bags.keys[3], *bags.keys[4])]
    return dataclasses.replace(made, bags={"uni": RowBags.of(bags.files, keys)})


def read_whole(table: FeatureTable, row: int) -> np.ndarray:
    bags = table.bags["uni"]
    parts = [bags.files.read(key) for key in bags.keys[row]]
    return np.concatenate([*parts, np.empty((0, 8), dtype=np.float32)])


def bags_of(table: FeatureTable, memory: int = AMPLE) -> TileBags:
    reader = TileReader(memory)
    scales = tile_scales(table.bags["uni"], table.row_weights(), reader)
    return TileBags(reader, table.bags["uni"], scales, CPU)


def pool_of() -> GatedAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GatedAttention(8, 4, 3)


def model_of(arm: tuple[Modality, ...] = (UNI,), **attention: int) -> AttentionHeadModel:
    config = AblationConfig(
        head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=2),
        attention=AttentionConfig(**attention),
    )
    made = make_model(Arm("a", "fusion_head_attention", arm), config)
    assert isinstance(made, AttentionHeadModel)
    return made


def by_hand(pool: GatedAttention, tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations 8 and 9 of Ilse, Tomczak & Welling (2018): the pooled bag, and the weights."""
    state = {k: v.detach().double().numpy() for k, v in pool.state_dict().items()}

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ state[f"{name}.weight"].T + state[f"{name}.bias"])

    h = np.maximum(layer("project.0", tiles), 0)
    gated = np.tanh(layer("what", h)) / (1 + np.exp(-layer("gate", h)))
    raised = np.exp(layer("weigh", gated)[:, 0])
    weights = raised / raised.sum()
    return weights @ h, weights


@pytest.mark.parametrize("memory", [AMPLE, 1500])
def test_the_formula_whole_and_in_parts(table: FeatureTable, memory: int) -> None:
    bags = bags_of(table)
    bags.reader = TileReader(memory)
    pool = pool_of().eval()
    with torch.inference_mode():
        found = pool(bags).double().numpy()
    scaled = [
        np.concatenate([part.numpy() for part in bags.parts(row, 1000)])
        if table.bags["uni"].keys[row]
        else None
        for row in range(5)
    ]
    for row, tiles in enumerate(scaled):
        if tiles is None:
            assert not found[row].any()
            assert len(pool.weights(bags)[row]) == 0
            continue
        pooled, weights = by_hand(pool, tiles.astype(np.float64))
        np.testing.assert_allclose(found[row], pooled, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(pool.weights(bags)[row], weights, rtol=1e-5)
    # With all tiles drawn, a training computes the same.
    np.testing.assert_allclose(pool.train()(bags_of(table)).detach(), found, rtol=1e-4, atol=1e-6)


def test_scales_count_every_row_by_its_weight(table: FeatureTable) -> None:
    weights = np.array([1.0, 0.5, 0.5, 1.0, 1.0])
    found = tile_scales(table.bags["uni"], weights, TileReader(AMPLE))
    tiles = [read_whole(table, row) for row in range(5)]
    each = np.concatenate(
        [np.full(len(t), w / max(len(t), 1)) for t, w in zip(tiles, weights, strict=True)]
    )
    expected = Standardizer().fit(np.concatenate(tiles), each)
    np.testing.assert_allclose(found.mean_, expected.mean_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.scale_, expected.scale_, rtol=1e-9)


def test_draws_are_of_each_bag_without_replacement_and_seeded(table: FeatureTable) -> None:
    bags = bags_of(table)
    known = [{t.tobytes() for t in torch.cat(list(bags.parts(r, 99))).numpy()} for r in (0, 1, 2)]

    def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return bags.drawn(7)

    tiles, owner = drawn(0)
    assert torch.bincount(owner, minlength=5).tolist() == [7, 7, 7, 0, 7]
    for row, whole in enumerate(known):
        own = {t.tobytes() for t in tiles[owner == row].numpy()}
        assert len(own) == 7
        assert own <= whole
    again, other = drawn(0)[0], drawn(1)[0]
    assert torch.equal(tiles, again)
    assert not torch.equal(tiles, other)
    assert torch.bincount(bags.drawn(1000)[1]).tolist() == [30, 30, 30, 0, 60]


def test_bags_are_kept_within_their_part_of_the_budget(table: FeatureTable) -> None:
    bag_bytes = 30 * 8 * 4
    bags = bags_of(table)
    bags.reader = reader = TileReader(8 * bag_bytes)
    tiles, _ = bags.drawn(1000)
    assert sum(kept.nbytes for kept in reader._kept.values()) == 3 * bag_bytes
    assert reader.step_bytes == 4 * bag_bytes
    assert torch.equal(tiles, bags_of(table).drawn(1000)[0])


def test_weights_of_a_patients_tiles_can_be_asked(tmp_path: Path) -> None:
    table = needles(tmp_path, 24, 10)
    model = model_of().fit(table, 0)
    weights = model.attention_weights(table)["uni"]
    assert [len(own) for own in weights] == [10] * 24
    np.testing.assert_allclose([own.sum() for own in weights], 1, rtol=1e-6)
    assert top_tiles([0.2, 0.5, 0.3], 2).tolist() == [1, 2]
    # The budget decides what is drawn, not what is scored.
    assert model.predict_proba(table).tobytes() == model.predict_proba(table).tobytes()


def test_bags_beside_columns_and_vectors(
    make_table: object, modalities: tuple[Modality, ...], tmp_path: Path
) -> None:
    assert callable(make_table)
    table = bagged(make_table(60), tmp_path)
    vectors = np.random.default_rng(0).normal(size=(len(table), 3)).astype(np.float32)
    table = dataclasses.replace(table, embeddings={**table.embeddings, "net_b": vectors})
    arm = (*modalities, Modality("b", embeddings=("net_b",)))
    probability = model_of(arm).fit(table, 0).predict_proba(table)
    assert np.isfinite(probability).all()
    together = Modality("both", embeddings=("net_a", "net_b"))
    with pytest.raises(DataError, match=r"'both' has bags of tiles beside other .* own$"):
        model_of((together,)).fit(table, 0)


def test_times_to_an_event(tmp_path: Path) -> None:
    table = needles(tmp_path, 40, 10)
    rng = np.random.default_rng(0)
    time = rng.exponential(1000, 40) * np.where(table.y == 1, 0.1, 1.0) + 1
    target = Target.time_to_event(np.ones(40), time, np.zeros(40))
    config = model_of().settings
    ablation = AblationConfig(head=config.head, attention=config.attention)
    arm = Arm("a", "fusion_head_attention", (UNI,))
    model = make_model(arm, ablation, None, "time_to_event")
    table = dataclasses.replace(table, target=target)
    found = model.fit(table, 0).predict(table, np.array([365.0]))
    assert np.isfinite(found.score).all()
    assert ((found.risk >= 0) & (found.risk <= 1)).all()


def test_what_is_refused(tmp_path: Path) -> None:
    table = needles(tmp_path, 24, 10)
    pooled = dataclasses.replace(table, bags={})
    with pytest.raises(DataError, match=r"a: uni has no bags .* `pool: none`, or take fusion_head"):
        model_of().fit(pooled, 0)
    wide = Modality("uni", embeddings=("uni",))
    with pytest.raises(
        ConfigError, match=r"memory_mb: not one tile of each of 64 bags .* take 12 "
    ):
        model_of((wide,), hidden=1024, memory_mb=1).fit(table, 0)


def test_a_needle_in_a_bag_is_found_by_attention_and_not_by_the_mean(tmp_path: Path) -> None:
    """One tile in a hundred carries the signal (see `benchmarks/attention.py`)."""
    table = needles(tmp_path, 360, 100)
    training, test = table.take(np.arange(240)), table.take(np.arange(240, 360))
    config = AblationConfig(
        head=HeadConfig(
            projection=16, hidden=(16,), dropout=0.2, learning_rate=5e-3, epochs=25, ensemble=1
        ),
        attention=AttentionConfig(hidden=16, memory_mb=8),  # a step draws 46 of 100 tiles
    )
    found = {}
    for name in ("fusion_head", "fusion_head_attention"):
        model = make_model(Arm(name, name, (UNI,)), config).fit(training, 0)
        found[name] = float(metrics.auroc(test.y, model.predict_proba(test))[0])
    assert found["fusion_head_attention"] > 0.9
    assert found["fusion_head_attention"] - found["fusion_head"] > 0.2
    weights = model.attention_weights(test.take(np.flatnonzero(test.y == 1)))["uni"]
    first = [training.bags["uni"].files.read(key)[:, 0].argmax() for (key,) in
             test.bags["uni"].keys[test.y == 1]]  # fmt: skip
    hits = [int(top_tiles(own, 1)[0]) == tile for own, tile in zip(weights, first, strict=True)]
    assert np.mean(hits) > 0.9
