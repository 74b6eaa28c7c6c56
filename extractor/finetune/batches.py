"""What an epoch sees, in which order: a function of seed and epoch, and of nothing else.

Neither the number of processes nor that of workers changes what is drawn, so a training that
resumes needs no generator's state, and one on several devices takes the same steps.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from extractor.config_finetune import FinetuneConfig
from extractor.stages import one_torch_thread
from extractor.workers import Workers


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Decoded samples of one role.

    Attributes:
        squares: Arrays (size, size, 3) of uint8, one a sample.
        labels: Outcome of each, float32 0 or 1; shape (n,).
        patient_ids: Patient of each; shape (n,).
    """

    squares: Sequence[np.ndarray]
    labels: np.ndarray
    patient_ids: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pass:
    """This process's part of one forward and backward pass.

    Attributes:
        rows: Samples; may be none.
        seeds: Seed of the augmentation of each.
    """

    rows: np.ndarray
    seeds: np.ndarray


@dataclasses.dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        passes: Forward and backward passes of this process.
        size: Images of all its passes in all processes together.
    """

    passes: tuple[Pass, ...]
    size: int


def plan_epoch(
    labels: np.ndarray, config: FinetuneConfig, seed: int, epoch: int, workers: Workers
) -> list[Step]:
    """Draws an epoch and cuts it into steps, passes and the slices of this process.

    Parts differ in size by one image at most, so that no short batch, whose statistics would be
    poor, stands at the end.

    Args:
        labels: Outcome of each sample; shape (n,).
        config: Batch size, accumulation and sampling.
        seed: Seed of the training.
        epoch: Number of the epoch.
        workers: Processes that share the passes.
    """
    n = len(labels)
    rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
    if config.weighted_sampling:
        share = np.bincount(labels.astype(int), minlength=2)[labels.astype(int)]
        order = rng.choice(n, size=n, p=(1 / share) / (1 / share).sum())
    else:
        order = rng.permutation(n)
    seeds = rng.integers(2**63, size=n)
    steps = []
    for positions in _even_parts(np.arange(n), config.batch_size * config.accumulate):
        slices = [
            np.array_split(part, workers.world_size)[workers.rank]
            for part in _even_parts(positions, config.batch_size)
        ]
        passes = tuple(Pass(order[own], seeds[own]) for own in slices)
        steps.append(Step(passes, len(positions)))
    return steps


def passes_of(steps: Sequence[Step]) -> list[Pass]:
    """All passes of steps, in order."""
    return [part for step in steps for part in step.passes]


def load_passes(
    pictures: Pictures,
    passes: Sequence[Pass],
    augment: Callable[[Tensor, int], Tensor],
    workers: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields pixels (m, 3, size, size) of uint8 and labels (m,) of each pass, on the device.

    Args:
        pictures: What passes are taken from.
        passes: In the order of the training.
        augment: Makes a training picture of a picture and a seed.
        workers: Processes that do so beside this one; 0 is this one.
        device: Where passes go.
    """
    on_cuda = device.type == "cuda"
    fork = workers and "fork" in multiprocessing.get_all_start_methods()
    loader = DataLoader(
        _Augmented(pictures, augment),
        batch_sampler=[list(zip(p.rows, p.seeds, strict=True)) for p in passes],
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=on_cuda,
        generator=torch.Generator(),  # else it draws from the global one
        multiprocessing_context="fork" if fork else None,  # shares the decoded pictures
    )
    for pixels, labels in loader:
        yield pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)


class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, pictures: Pictures, augment: Callable[[Tensor, int], Tensor]) -> None:
        self._pictures = pictures
        self._augment = augment

    def __getitems__(self, items: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        rows = [row for row, _ in items]
        with one_torch_thread():  # as in a worker: means of large pictures depend on it
            # A process without a part of the pass still takes its step with the others.
            varied = [self._varied(row, seed) for row, seed in items or [(0, 0)]]
        pixels = torch.stack(varied)[: len(items)]
        return pixels, torch.from_numpy(self._pictures.labels[rows].astype(np.float32))

    def _varied(self, row: int, seed: int) -> Tensor:
        return self._augment(as_tensor(self._pictures.squares[row]), int(seed))


def _as_it_is(batch: Any) -> Any:
    return batch


def as_tensor(square: np.ndarray) -> Tensor:
    """Picture (3, size, size) of uint8 from a square (size, size, 3), which stays as it is.

    It is copied: squares are shared and read-only, which no tensor is.
    """
    return torch.from_numpy(square.copy()).permute(2, 0, 1)


def _even_parts(positions: np.ndarray, most: int) -> list[np.ndarray]:
    return np.array_split(positions, -(-len(positions) // most))
