from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from finetune_example import (
    gradients_of,
    pictures,
    steps_watched,
    tiny_backbone,
    tiny_config,
    train_tiny,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.config import BackboneConfig
from extractor.config_finetune import AugmentConfig, FinetuneConfig
from extractor.distributed import ALONE, ProcessGroup
from extractor.finetune import loop as module
from extractor.finetune.augment import augmenter
from extractor.finetune.batches import as_tensor
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.classifier import Classifier
from extractor.finetune.loop import Company, Trained, train
from featurestore.errors import ConfigError

STILL = AugmentConfig(
    flips=False, rotation=0, brightness=0, contrast=0, saturation=0, hue=0,
    crop_scale=(1.0, 1.0), blur=0, dropout=0,
)  # fmt: skip
NO_GAIN = {"learning_rate": 1e-12, "head_learning_rate": 1e-12}


def assert_same(a: Trained, b: Trained) -> None:
    assert a.history == b.history
    assert a.weights.keys() == b.weights.keys()
    for name in a.weights:
        assert torch.equal(a.weights[name], b.weights[name]), name


def test_it_learns_and_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    config = tiny_config(epochs=6, head_learning_rate=1e-2, learning_rate=1e-3, batch_size=16)
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    first = train_tiny(config, tmp_path / "a", ALONE)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.rand(5)
    assert_same(train_tiny(config, tmp_path / "b", ALONE), first)
    assert first.history[-1].train_loss < first.history[0].train_loss
    assert max(row.validation_auroc for row in first.history) > 0.9
    assert [row.epoch for row in first.history] == list(range(1, 7))
    start = tiny_backbone(config).module.state_dict()
    assert first.weights.keys() == start.keys()
    assert any(not torch.equal(first.weights[n], start[n]) for n in start)


def test_workers_change_no_byte_of_the_weights(tmp_path: Path) -> None:
    alone = train_tiny(tiny_config(epochs=2), tmp_path / "a", ALONE)
    assert_same(train_tiny(tiny_config(epochs=2, workers=2), tmp_path / "b", ALONE), alone)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_cross_entropy_with_smoothed_labels(
    tmp_path: Path, smoothing: float
) -> None:
    config = tiny_config(
        epochs=1, label_smoothing=smoothing, batch_norm="frozen", ema_decay=0, **NO_GAIN
    )
    training, validation = pictures(10, 1, 32), pictures(6, 2, 32)
    backbone = tiny_backbone(config)
    checkpoints = CheckpointFolder(tmp_path, "d")
    trained = train(
        backbone, training, validation, augmenter(STILL), config, 0, checkpoints, Company()
    )
    model = Classifier(tiny_backbone(config), 0.5, 0).eval()

    def losses(data: module.Pictures, targets: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            z = model(torch.stack([as_tensor(s) for s in data.squares])).double().numpy()
        p = 1 / (1 + np.exp(-z))
        return -(targets * np.log(p) + (1 - targets) * np.log1p(-p))

    smoothed = np.where(training.labels == 1, 1 - smoothing / 2, smoothing / 2)
    (row,) = trained.history
    assert row.train_loss == pytest.approx(losses(training, smoothed).mean(), rel=1e-5)
    expected = losses(validation, validation.labels.astype(float)).mean()
    assert row.validation_loss == pytest.approx(expected, rel=1e-5)


def gradients(config: FinetuneConfig, folder: Path) -> list[np.ndarray]:
    steps: list[list[np.ndarray]] = []
    with steps_watched(lambda optimiser: steps.append(gradients_of(optimiser))):
        train_tiny(config, folder, ALONE, n=16)
    assert len(steps) == 1
    return steps[0]


def largest_difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Relative to the largest gradient of the parameter that differs most."""
    pairs = zip(a, b, strict=True)
    return max(float(np.abs(x - y).max() / (np.abs(x).max() + 1e-8)) for x, y in pairs)


def test_accumulated_passes_are_one_batch_where_statistics_are_frozen(tmp_path: Path) -> None:
    def of(batch_size: int, accumulate: int, batch_norm: str) -> list[np.ndarray]:
        config = tiny_config(
            epochs=1, batch_size=batch_size, accumulate=accumulate, batch_norm=batch_norm
        )
        return gradients(config, tmp_path / f"{batch_size}-{batch_norm}")

    whole = of(16, 1, "frozen")
    assert max(np.abs(g).max() for g in whole) > 1e-4
    assert largest_difference(whole, of(8, 2, "frozen")) < 1e-3
    assert largest_difference(whole, of(5, 4, "frozen")) < 1e-3
    # Trained statistics are those of a pass, as the documentation says.
    assert largest_difference(of(16, 1, "train"), of(8, 2, "train")) > 1e-2


Validate = Callable[[module._Loop], tuple[float, float]]


def scripted(scores: list[float], seen: list[dict[str, torch.Tensor]]) -> Validate:
    """Validation that returns given AUROCs and remembers the weights that it was shown."""
    rest = iter(scores)

    def validate(loop: module._Loop) -> tuple[float, float]:
        trunk = loop.state.kept.trunk
        seen.append({name: t.clone() for name, t in trunk.state_dict().items()})
        return 0.5, next(rest)

    return validate


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_it_stops_early_and_keeps_the_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema_decay: float
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    scores = [0.6, 0.55, 0.8, 0.7, 0.8, 0.79, 0.99]
    monkeypatch.setattr(module._Loop, "_validate", scripted(scores, seen))
    trained = train_tiny(tiny_config(epochs=50, patience=3, ema_decay=ema_decay), tmp_path, ALONE)
    assert len(trained.history) == 6
    assert trained.best_epoch == 3
    for name, tensor in trained.weights.items():
        assert torch.equal(tensor, seen[2][name]), name
    assert any(not torch.equal(seen[5][n], t) for n, t in trained.weights.items())


def test_patience_begins_when_all_blocks_are_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    monkeypatch.setattr(module._Loop, "_validate", scripted([0.9] + [0.5] * 20, seen))
    config = tiny_config(epochs=50, patience=2, unfreeze=1, frozen_groups=2, ema_decay=0)
    trained = train_tiny(config, tmp_path, ALONE)
    released = [row.released_groups for row in trained.history]
    assert released == [0, 1, 2, 3, 3]
    assert trained.best_epoch == 1
    start = tiny_backbone(config).module.state_dict()
    moved = [
        {name.split(".")[0] for name, t in shown.items() if not torch.equal(t, start[name])}
        for shown in seen
    ]
    assert moved[:4] == [set(), {"layer4"}, {"layer3", "layer4"}, {"layer2", "layer3", "layer4"}]
    # Learning rates were not reduced for the time in which blocks were frozen.
    assert trained.history[3].learning_rate == config.learning_rate


def test_the_plateau_reduces_rates_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._Loop, "_validate", scripted([0.9] + [0.5] * 9, []))
    config = tiny_config(epochs=5, plateau_patience=1, plateau_factor=0.5, warmup_epochs=0)
    rates = [row.head_learning_rate for row in train_tiny(config, tmp_path, ALONE).history]
    full = config.head_learning_rate
    assert rates == pytest.approx([full, full, full, full / 2, full / 2])


def test_a_loss_that_is_not_finite_ends_the_training_in_one_line(tmp_path: Path) -> None:
    config = tiny_config(epochs=4, learning_rate=1.0, head_learning_rate=1.0, ema_decay=0)
    wild = config.model_copy(update={"learning_rate": 1e30, "head_learning_rate": 1e30})
    with pytest.raises(ConfigError, match="is not finite: the training diverged") as caught:
        train_tiny(wild, tmp_path, ALONE)
    assert "\n" not in str(caught.value)


def test_reduced_precision_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"finetune\.precision bfloat16 needs a CUDA device"):
        train_tiny(tiny_config(precision="bfloat16"), tmp_path, ALONE)


def test_several_processes_cannot_train_statistics_without_a_card(tmp_path: Path) -> None:
    config = tiny_config(batch_norm="train")
    with pytest.raises(ConfigError, match="set it to 'frozen', or start one process"):
        train_tiny(config, tmp_path, ProcessGroup(0, 2, 0))


def test_weighted_sampling_starts_the_head_at_one_half(tmp_path: Path) -> None:
    """With nothing learned, logits stay near the prevalence of what is drawn."""
    data = pictures(20, 1)
    few = module.Pictures(data.squares, (np.arange(20) < 2).astype(np.float32), data.patient_ids)
    losses = {}
    for weighted in (False, True):
        config = tiny_config(
            epochs=1, weighted_sampling=weighted, label_smoothing=0, batch_norm="frozen", **NO_GAIN
        )
        trained = train(
            tiny_backbone(config), few, pictures(6, 2, 32), augmenter(config.augment, 32),
            config, 0, CheckpointFolder(tmp_path / str(weighted), "d"), Company(),
        )  # fmt: skip
        losses[weighted] = trained.history[0].train_loss
    entropy = {p: -p * math.log(p) - (1 - p) * math.log(1 - p) for p in (0.1, 0.5)}
    assert losses[False] == pytest.approx(entropy[0.1], abs=0.03)
    assert losses[True] == pytest.approx(entropy[0.5], abs=0.03)


@settings(deadline=None)
@given(st.data())
def test_selection_compares_patients_by_their_mean_logit(data: st.DataObject) -> None:
    n_patients = data.draw(st.integers(2, 6))
    others = [float(data.draw(st.booleans())) for _ in range(n_patients - 2)]
    outcome = np.array([0.0, 1.0, *others])
    images = [data.draw(st.integers(1, 3)) for _ in range(n_patients)]
    owner = np.repeat(np.arange(n_patients), images)
    logits = np.array([data.draw(st.integers(-3, 3)) for _ in owner], dtype=float)
    order = np.array(data.draw(st.permutations(range(len(owner)))))
    names = np.array([f"p{k}" for k in owner], dtype=object)
    found = module.auroc_of_patients(names[order], outcome[owner][order], logits[order])
    means = [logits[owner == k].mean() for k in range(n_patients)]
    pairs = itertools.product(np.where(outcome == 1)[0], np.where(outcome == 0)[0])
    wins = [(means[a] > means[b]) + 0.5 * math.isclose(means[a], means[b]) for a, b in pairs]
    assert found == pytest.approx(np.mean(wins))


def test_progress_counts_every_image_of_every_epoch(tmp_path: Path) -> None:
    class Counting:
        def __init__(self) -> None:
            self.total = self.done = 0
            self.details: set[str] = set()
            self.summary = ""

        def start(self, stage: str, total: int) -> None:
            assert stage == "finetune test_resnet"
            self.total = total

        def advance(self, n: int = 1, detail: str = "") -> None:
            self.done += n
            self.details.add(detail.partition(" (")[0])

        def finish(self, summary: str = "") -> None:
            self.summary = summary

    progress = Counting()
    train_tiny(tiny_config(epochs=2, patience=9), tmp_path, ALONE, progress=progress)
    assert progress.done == progress.total == 2 * 22
    assert {"epoch 1", "epoch 2"} <= progress.details
    assert "2 epochs, best " in progress.summary
    assert "images/s" in progress.summary


def test_transformers_are_trained_too(tmp_path: Path) -> None:
    vit = BackboneConfig(name="test_vit", weights="random")
    config = tiny_config(backbones=(vit,), epochs=1, unfreeze=0, batch_size=4)
    trained = train(
        tiny_backbone(config), pictures(4, 1, 192), pictures(4, 2, 160),
        augmenter(config.augment, 160), config, 0, CheckpointFolder(tmp_path, "d"), Company(),
    )  # fmt: skip
    assert len(trained.history) == 1
