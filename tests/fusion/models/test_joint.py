"""What the joint network promises beyond the conformance suite of all models."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch.optim.optimizer import register_optimizer_step_pre_hook
from waiting_example import NothingWaits

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig
from extractor.distributed import ALONE, Workers, workers_of_environment
from extractor.finetune import ImageCache, augmenter, feed
from extractor.finetune.augment import source_size
from extractor.finetune.shelf import Resident
from featurestore.errors import ConfigError
from fusion.arms import Arm, Modality
from fusion.config import HeadConfig, JointConfig, MetadataConfig
from fusion.features.reduction import Standardizer
from fusion.features.table import FeatureTable
from fusion.models import joint_batches, joint_training
from fusion.models.head_inputs import HeadInputs
from fusion.models.heads import FusionHead
from fusion.models.joint import JointModel
from fusion.models.joint_batches import JointData
from fusion.models.joint_network import Branch, JointNetwork
from fusion.models.joint_training import predict_joint, train_joint
from fusion.models.settings import Settings
from fusion.models.training import HeadData, TrainingResult, predict_logits, seeded

PICTURES = Modality("net_p", embeddings=("net_p",))
CLINICAL = Modality("clinical", groups=("demographic", "histopathology", "staging"))
NETWORK = BackboneConfig(name="test_convnext", weights="random", image_size=32)
HEAD = HeadConfig(projection=4, hidden=(4,), epochs=3, ensemble=1, dropout=0.0)


def settings(**joint: Any) -> Settings:
    return Settings(
        {
            "head": HEAD,
            "joint": JointConfig(epochs=2, batch_size=16, **joint),
            "metadata": MetadataConfig(expression_components=2),
        }
    )


def model(table: FeatureTable, **joint: Any) -> JointModel:
    return JointModel(Arm("joint[all]", "joint", (PICTURES, CLINICAL)), settings(**joint)).fit(
        table, 0
    )


def network_of(table: FeatureTable, dropout: float = 0.0) -> JointNetwork:
    """A network that starts where the cached embeddings are."""
    branch = Branch(
        load_backbone(NETWORK, 0, Path()),
        Standardizer().fit(table.embeddings["net_p"], table.row_weights()),
    )
    inputs = HeadInputs.fit((PICTURES, CLINICAL), MetadataConfig(), table).transform(table)
    dims = {name: x.shape[1] for name, x in inputs.inputs.items()}
    with seeded(0, torch.device("cpu")):
        head = FusionHead(dims, HEAD.model_copy(update={"dropout": dropout}))
    return JointNetwork({"net_p": branch}, head, {"net_p": ("net_p",)})


def random_data(n: int, side: int, seed: int) -> JointData:
    """Rows whose pictures tell the outcome; every fifth has none."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(np.float32)
    rows = np.flatnonzero(np.arange(n) % 5 != 4)
    squares = rng.integers(0, 120, size=(len(rows), side, side, 3), dtype=np.uint8)
    squares[y[rows] == 1] += 100
    has = torch.zeros(n, dtype=torch.bool)
    has[rows] = True
    columns = HeadData(
        inputs={"clinical": torch.from_numpy(rng.normal(size=(n, 3)).astype(np.float32))},
        present={"net_p": has, "clinical": torch.ones(n, dtype=torch.bool)},
        y=torch.from_numpy(y),
        patient_ids=np.array([f"P{k}" for k in range(n)]),
    )
    return JointData({"net_p": list(squares)}, rows, columns)


def small_network(seed: int = 0) -> JointNetwork:
    """One branch and three clinical columns; no dropout."""
    standardizer = Standardizer().fit(np.random.default_rng(seed).normal(size=(50, 64)))
    branch = Branch(load_backbone(NETWORK, 0, Path()), standardizer)
    with seeded(seed, torch.device("cpu")):
        head = FusionHead({"net_p": 64, "clinical": 3}, HEAD)
    return JointNetwork({"net_p": branch}, head, {"net_p": ("net_p",)})


def test_the_start_is_the_head_on_the_embeddings_that_the_networks_made(
    table: FeatureTable,
) -> None:
    """With true embeddings in the cache, the untrained joint network says what the head says."""
    assert table.files is not None
    files = table.files
    rows = np.flatnonzero(files.sha256s != "")
    backbone = files.load("net_p")
    squares = ImageCache(files.data_root, files.scratch).squares(
        files.samples(rows), backbone.preprocessing.geometry
    )
    mean, std = (
        torch.tensor(getattr(backbone.preprocessing, k)).view(1, 3, 1, 1) for k in ("mean", "std")
    )
    pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        made = backbone.module.eval()((pixels - mean) / std).numpy()
    embedding = np.full((len(table), 64), np.nan, dtype=np.float32)
    embedding[rows] = made
    cached = dataclasses.replace(table, embeddings={"net_p": embedding})
    network = network_of(cached).eval()
    data = HeadInputs.fit((PICTURES, CLINICAL), MetadataConfig(), cached).transform(cached)
    expected = predict_logits(network.head, data)
    joint = JointData({"net_p": squares}, rows, data)
    scores = predict_joint(network, joint, 7, torch.device("cpu"), ALONE)
    np.testing.assert_allclose(scores, expected, atol=2e-4)


def test_it_learns_what_only_the_pictures_show(
    make_table: Callable[..., FeatureTable], table: FeatureTable
) -> None:
    network = small_network()
    augment = JointConfig().augment.model_copy(update={"crop_scale": (1.0, 1.0)})
    side = source_size(augment, 32)
    settings = JointConfig(epochs=6, learning_rate=1e-3, head_learning_rate=1e-2, batch_size=16)
    result = train_joint(
        network,
        random_data(80, side, 1),
        random_data(40, 32, 2),
        {"net_p": augmenter(augment, 32)},
        settings,
        0,
        torch.device("cpu"),
        ALONE,
    )
    unseen = random_data(60, 32, 3)
    scores = predict_joint(network, unseen, 16, torch.device("cpu"), ALONE)
    y = unseen.columns.y.numpy()
    with_picture = np.isin(np.arange(60), unseen.rows)
    events, others = scores[with_picture & (y == 1)], scores[with_picture & (y == 0)]
    assert (events[:, None] > others[None, :]).mean() > 0.95
    assert result.best_epoch > 0


def test_where_training_brings_nothing_the_network_stays_what_it_was() -> None:
    network = small_network()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    validation = random_data(40, 32, 2)
    flipped = dataclasses.replace(validation.columns, y=1 - validation.columns.y)
    start = predict_joint(network, validation, 16, torch.device("cpu"), ALONE)
    # The start already ranks the validation rows perfectly; training learns the opposite.
    perfect = dataclasses.replace(
        validation,
        columns=dataclasses.replace(
            flipped, y=torch.from_numpy((start > np.median(start)).astype(np.float32))
        ),
    )
    wrong = dataclasses.replace(
        validation, columns=dataclasses.replace(perfect.columns, y=1 - perfect.columns.y)
    )
    result = train_joint(
        network,
        wrong,
        perfect,
        {"net_p": lambda picture, seed: picture},
        JointConfig(epochs=3, learning_rate=1e-3, head_learning_rate=1e-2, batch_size=16),
        0,
        torch.device("cpu"),
        ALONE,
    )
    assert result.best_epoch == 0
    after = network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_frozen_statistics_stay(table: FeatureTable) -> None:
    network = small_network()
    resnet = load_backbone(
        BackboneConfig(name="resnet18", weights="random", image_size=32), 0, Path()
    )
    standardizer = Standardizer().fit(np.random.default_rng(0).normal(size=(9, 512)))
    network = JointNetwork(
        {"net_p": Branch(resnet, standardizer)},
        FusionHead({"net_p": 512}, HEAD),
        {"net_p": ("net_p",)},
    )
    network.set_training_mode(train_statistics=False)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training for m in norms)
    assert network.head.training
    network.set_training_mode(train_statistics=True)
    assert all(m.training for m in norms)


def test_stages_and_scratch_start_from_different_heads(table: FeatureTable) -> None:
    staged, fresh = model(table), model(table, start="scratch")
    assert staged.choices_["start"] == "stages"
    assert fresh.choices_["start"] == "scratch"
    assert staged.predict_proba(table).tobytes() != fresh.predict_proba(table).tobytes()


def test_an_arm_without_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="joint needs a modality of images"):
        JointModel(Arm("joint[clinical]", "joint", (CLINICAL,)), settings())


def test_a_backbone_in_two_modalities_is_refused() -> None:
    twice = (PICTURES, dataclasses.replace(PICTURES, name="again"))
    with pytest.raises(ConfigError, match="stands in two modalities"):
        JointModel(Arm("joint", "joint", twice), settings())


def test_a_table_without_files_is_refused(table: FeatureTable) -> None:
    with pytest.raises(ConfigError, match="image files"):
        model(dataclasses.replace(table, files=None))


def test_a_diverging_training_is_an_error_not_a_result() -> None:
    with pytest.raises(ConfigError, match="diverged"):
        train_joint(
            small_network(),
            random_data(40, 32, 1),
            random_data(20, 32, 2),
            {"net_p": lambda picture, seed: picture},
            JointConfig(epochs=2, warmup_epochs=0).model_copy(update={"learning_rate": 1e30}),
            0,
            torch.device("cpu"),
            ALONE,
        )


def _rank(rank: int, world: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    environment = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    os.environ.update(environment)
    with workers_of_environment("cpu", environment) as workers:
        losses, scores = _train_small(workers)
    np.savez(Path(folder) / f"{rank}.npz", losses=losses, scores=scores)


def _train_small(workers: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Training loss of each epoch, and logits of other rows afterwards."""
    network = small_network()
    result = train_joint(
        network,
        random_data(30, 32, 1),
        random_data(20, 32, 2),
        {"net_p": augmenter(JointConfig().augment, 32)},
        JointConfig(epochs=3, batch_size=8, learning_rate=1e-3, head_learning_rate=1e-2),
        0,
        torch.device("cpu"),
        workers,
    )
    scores = predict_joint(network, random_data(23, 32, 3), 8, torch.device("cpu"), workers)
    return np.array([epoch["train_loss"] for epoch in result.history]), scores


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """The head sees whole batches in each process, so its normalisation is the same too.

    Compared by the losses of all steps: which epoch is kept can hang on a tie of AUROC.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone, _ = _train_small(ALONE)
    finally:
        torch.set_num_threads(threads)
    mp.spawn(_rank, args=(2, port, str(tmp_path)), nprocs=2)
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in range(2))
    np.testing.assert_array_equal(first["scores"], second["scores"])
    np.testing.assert_array_equal(first["losses"], second["losses"])
    np.testing.assert_allclose(first["losses"], alone, rtol=1e-4)


def train_small(network: JointNetwork, batch_norm: str = "frozen") -> TrainingResult:
    config = JointConfig(epochs=1, batch_size=16, batch_norm=batch_norm, warmup_epochs=0)
    return train_joint(
        network,
        random_data(24, source_size(config.augment, 32), 1),
        random_data(20, 32, 2),
        {"net_p": augmenter(config.augment, 32)},
        config,
        0,
        torch.device("cpu"),
        ALONE,
    )


@pytest.mark.parametrize("scaled", [False, True])
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch, scaled: bool) -> None:
    """The CPU varies and holds pictures as a card does; with loss scaling, for float16, too."""
    steps: list[int] = []
    step = joint_training._Steps.__call__

    def watched(self: joint_training._Steps, *args: Any) -> None:
        with NothingWaits():
            step(self, *args)
        steps.append(1)

    monkeypatch.setattr(feed, "varies", lambda device: True)
    monkeypatch.setattr(feed, "shelf_of", Resident)
    monkeypatch.setattr(joint_batches, "shelf_of", Resident)
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    monkeypatch.setattr(joint_training, "scaler_for", lambda dtype, device: scaler)
    monkeypatch.setattr(joint_training._Steps, "__call__", watched)
    result = train_small(small_network())
    assert len(steps) == 2
    assert result.history[0]["train_loss"] > 0


def gradients_of(network: JointNetwork, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Gradients of the first step."""
    first: list[np.ndarray] = []

    def keep(optimiser: torch.optim.Optimizer, *_: object) -> None:
        if not first:
            first.extend(p.grad.numpy().copy() for g in optimiser.param_groups for p in g["params"])

    handle = register_optimizer_step_pre_hook(keep)
    train_small(network)
    handle.remove()
    return first


@pytest.mark.parametrize("backward", [False, True])
def test_where_memory_runs_out_a_step_keeps_its_gradient(
    monkeypatch: pytest.MonkeyPatch, backward: bool
) -> None:
    """Pictures are cut, the head sees the whole batch; the card's lack is injected."""
    expected = gradients_of(small_network(), monkeypatch)
    sizes: list[int] = []
    forward = Branch.forward

    def lack(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def limited(self: Branch, pictures: torch.Tensor) -> torch.Tensor:
        embedding = forward(self, pictures)
        if torch.is_grad_enabled():
            sizes.append(len(pictures))
            if len(pictures) > 5:
                _ = embedding.register_hook(lack) if backward else lack()
        return embedding

    monkeypatch.setattr(Branch, "forward", limited)
    found = gradients_of(small_network(), monkeypatch)
    assert max(sizes) > 5
    assert set(sizes[-4:]) <= {1, 2, 3, 4, 5}
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    notice = train_small(small_network()).notice
    assert "cpu ran out of memory: passes are cut to" in notice
    assert "counts each picture twice" in train_small(small_network(), "train").notice


def test_a_batch_without_pictures_is_scored() -> None:
    data = random_data(20, 32, 3)
    none = dataclasses.replace(data, squares={"net_p": []}, rows=np.empty(0, dtype=np.int64))
    network = small_network()
    assert np.isfinite(predict_joint(network, none, 8, torch.device("cpu"), ALONE)).all()
    lacking = np.array([4, 9, 14, 19])  # no picture among them
    one = dataclasses.replace(
        data, rows=data.rows[:1], squares={"net_p": data.squares["net_p"][:1]}
    )
    scores = predict_joint(network, one, 4, torch.device("cpu"), ALONE)
    assert np.isfinite(scores[lacking]).all()
