"""Pictures and settings small enough to train on in a second, for tests and their processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from processes_example import rank_of
from torch.optim.optimizer import register_optimizer_step_pre_hook

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig
from extractor.config_finetune import FinetuneConfig
from extractor.distributed import Workers
from extractor.finetune import TrainingSamples, Workplace, finetune
from extractor.finetune.augment import augmenter
from extractor.finetune.batches import Pictures
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.loop import Company, Trained, train
from featurestore.progress import SILENT

TINY = BackboneConfig(name="test_resnet", weights="random", image_size=32)


def tiny_config(**changes: object) -> FinetuneConfig:
    """Three epochs of a quarter of a million weights in one thread."""
    basis = {"backbones": (TINY,), "epochs": 3, "batch_size": 8, "threads": 1, "device": "cpu"}
    return FinetuneConfig.model_validate(basis | {"warmup_epochs": 0.5} | changes)


def write_samples(folder: Path, n: int, role: str, seed: int) -> TrainingSamples:
    """Noise of 48 x 36 pixels, redder in every second, which is an event."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.float32)
    paths = [f"{role}_{i:03d}.png" for i in range(n)]
    digests = []
    for path, label in zip(paths, labels, strict=True):
        pixels = rng.integers(0, 170, (9, 12, 3))
        pixels[..., 0] += int(80 * label)
        picture = Image.fromarray(pixels.astype(np.uint8)).resize((48, 36))
        picture.save(folder / path)
        digests.append(hashlib.sha256((folder / path).read_bytes()).hexdigest())
    return TrainingSamples(
        image_ids=np.array([Path(p).stem for p in paths], dtype=object),
        patient_ids=np.array([f"{role}-{i // 4}-{i % 2}" for i in range(n)], dtype=object),
        paths=np.array(paths, dtype=object),
        sha256s=np.array(digests, dtype=object),
        labels=labels,
    )


def pictures(n: int, seed: int, size: int = 36) -> Pictures:
    """The same without files."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 2).astype(np.float32)
    squares = rng.integers(0, 170, (n, size, size, 3))
    squares[..., 0] += (80 * labels[:, None, None]).astype(int)
    return Pictures(
        squares=list(squares.astype(np.uint8)),
        labels=labels,
        patient_ids=np.array([f"p{i}" for i in range(n)], dtype=object),
    )


def train_tiny(
    config: FinetuneConfig, folder: Path, workers: Workers, n: int = 22, progress: Any = SILENT
) -> Trained:
    """Trains on pictures that have no files."""
    return train(
        tiny_backbone(config),
        pictures(n, 1),
        pictures(14, 2, 32),
        augmenter(config.augment, 32),
        config,
        0,
        CheckpointFolder(folder, "digest"),
        Company(workers, progress),
    )


def tiny_backbone(config: FinetuneConfig) -> Backbone:
    """The first backbone of a configuration."""
    return load_backbone(config.backbones[0], 0, Path())


@contextmanager
def steps_watched(watch: Callable[[torch.optim.Optimizer], None]) -> Iterator[None]:
    """Shows the optimiser before each of its steps inside the block."""
    handle = register_optimizer_step_pre_hook(lambda optimiser, args, kwargs: watch(optimiser))
    try:
        yield
    finally:
        handle.remove()


def gradients_of(optimiser: torch.optim.Optimizer) -> list[np.ndarray]:
    """Copies of the gradients that a step is about to use; empty ones of frozen parameters."""
    return [
        np.empty(0) if p.grad is None else p.grad.detach().numpy().copy()
        for group in optimiser.param_groups
        for p in group["params"]
    ]


def train_as_rank(
    rank: int, world_size: int, port: int, trainings: dict[int, FinetuneConfig], folder: str
) -> None:
    """Trains as one of several processes and keeps the gradients of every step.

    Args:
        rank: Number of this process.
        world_size: Number of processes.
        port: Where they meet.
        trainings: Configuration by number of training pictures.
        folder: Where the arrays go.
    """
    with rank_of(rank, world_size, port) as workers:
        for n, config in trainings.items():
            place = Path(folder) / f"{n}"
            trained, steps = train_watched(config, place / "checkpoints", workers, n)
            arrays = {f"{i}-{j}": g for i, step in enumerate(steps) for j, g in enumerate(step)}
            scores = np.array([row.score for row in trained.history])
            np.savez(place / f"rank{rank}.npz", scores=scores, **arrays)


def train_watched(
    config: FinetuneConfig, folder: Path, workers: Workers, n: int
) -> tuple[Trained, list[list[np.ndarray]]]:
    """Trains and returns the gradients of every step too."""
    steps: list[list[np.ndarray]] = []
    with steps_watched(lambda optimiser: steps.append(gradients_of(optimiser))):
        return train_tiny(config, folder, workers, n), steps


class Interrupting:
    """Raises when so many training images were seen."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._seen = 0
        self._training = False

    def start(self, stage: str, total: int) -> None:
        self._training = stage.startswith("finetune")

    def advance(self, n: int = 1, detail: str = "") -> None:
        self._seen += n if self._training else 0
        if self._seen >= self._images:
            raise KeyboardInterrupt

    def finish(self, summary: str = "") -> None:
        pass


def finetune_as_rank(
    rank: int,
    world_size: int,
    port: int,
    parts: tuple[TrainingSamples, TrainingSamples],
    config: FinetuneConfig,
    folder: str,
) -> None:
    """Fine-tunes as one of several processes and writes down what it was told."""
    root = Path(folder)
    with rank_of(rank, world_size, port) as workers:
        result = finetune(*parts, TINY, config, 0, Workplace(root, root / "ft", workers=workers))
    (root / f"rank{rank}.txt").write_text(repr(result))
