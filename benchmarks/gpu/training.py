"""Fine-tuning: seconds an epoch, beside steps on a batch that lies on the device already."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.material import (
    NOT_MEASURED,
    Sizes,
    backbones_of,
    seconds_each,
    squares_of,
    wait,
)
from extractor.backbones import load_backbone
from extractor.config_finetune import FinetuneConfig
from extractor.device import ComputePlan, dtype_on
from extractor.finetune import EpochRow, augmenter, source_size
from extractor.finetune.batches import Pictures, passes_of, plan_epoch
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.classifier import Classifier
from extractor.finetune.feed import feed_of
from extractor.finetune.loop import Company, Trained, train
from extractor.precision import compiled_if, computing_in, layout_on
from extractor.workers import ALONE

GOAL = 0.8
"""Least share of the rate of bare steps that a training should reach."""

_EPOCHS = 4  # of which the first, which warms up and compiles, is not counted


@dataclasses.dataclass(frozen=True)
class Task:
    """A training to be measured.

    Attributes:
        sizes: How much.
        config: How.
        images: Pictures to learn from.
    """

    sizes: Sizes
    config: FinetuneConfig
    images: int

    @property
    def training(self) -> Pictures:
        """Pictures as large as augmentation asks for; few that differ, many rows."""
        larger = source_size(self.config.augment, self.sizes.image_size)
        margin = ((0, larger - self.sizes.image_size),) * 2
        varied = squares_of(self.sizes, min(64, self.images))
        return _pictures([np.pad(s, (*margin, (0, 0)), "wrap") for s in varied], self.images)

    @property
    def validation(self) -> Pictures:
        """A tenth as many."""
        return _pictures(squares_of(self.sizes, 8), max(8, self.images // 10))

    def run(self, folder: Path, epochs: int, company: Company | None = None) -> Trained:
        """Trains, or goes on from what lies in the folder."""
        return train(
            load_backbone(self.config.backbones[0], 0, Path()),
            self.training,
            self.validation,
            augmenter(self.config.augment, self.sizes.image_size),
            self.config.model_copy(update={"epochs": epochs, "patience": epochs}),
            0,
            CheckpointFolder(folder, "benchmark"),
            company or Company(),
        )


def task_of(
    sizes: Sizes, device: torch.device, images: int | None = None, **changes: object
) -> Task:
    """The training of the first network; all pictures, where no number is given."""
    basis = {"backbones": backbones_of(sizes)[:1], "batch_size": sizes.batch_size}
    basis |= {"threads": 1}  # of a CPU, whose cores others may use
    config = FinetuneConfig.model_validate(basis | {"device": str(device)} | changes)
    return Task(sizes, config, sizes.samples if images is None else images)


def finetuning(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """An epoch with its validation and checkpoint, of the first network, as it is and compiled.

    The share is the time that bare steps on as many images take, over that of the epoch.
    """
    found: dict[str, Any] = {"network": sizes.backbones[0], "images": sizes.samples, "goal": GOAL}
    found["plain"] = _rates(task_of(sizes, plan.device, compile=False), plan.device)
    found["compiled"] = NOT_MEASURED
    if plan.device.type == "cuda":
        found["compiled"] = _rates(task_of(sizes, plan.device, compile=True), plan.device)
    return found


def _rates(task: Task, device: torch.device) -> dict[str, Any]:
    stamps: list[float] = []

    def record(history: Sequence[EpochRow]) -> None:
        stamps.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as scratch:
        task.run(Path(scratch), _EPOCHS, Company(record=record))
    first, *others = np.diff(stamps)
    each = float(np.median(others))
    bare = bare_step(task, device) * task.images / task.config.batch_size
    feed = _feed_alone(task, device)
    return {
        "seconds_per_epoch": each,
        "images_per_second": task.images / each,
        "seconds_of_first_epoch": float(first),
        "share_of_bare_rate": bare / each,
        "reached": bool(bare / each >= GOAL),
        "busy_share_of_card": busy_share(task) if device.type == "cuda" else NOT_MEASURED,
        "seconds": {
            "bare_steps": bare,
            "pictures_alone": feed,
            "rest": each - bare - feed,
        },
    }


def busy_share(task: Task) -> float:
    """Share of an epoch in which the card computes; the host is what limits where it is small.

    Of a second epoch of few steps, with its validation, as PyTorch's profiler sees it.
    """
    stamps: list[float] = []
    profiler = profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])

    def record(history: Sequence[EpochRow]) -> None:
        if len(history) == 2:
            stamps.append(time.perf_counter())
            profiler.stop()
        if len(history) == 1:
            profiler.start()
            stamps.append(time.perf_counter())

    few = dataclasses.replace(task, images=min(task.images, 10 * task.config.batch_size))
    with tempfile.TemporaryDirectory() as scratch:
        few.run(Path(scratch), 2, Company(record=record))
    microseconds = sum(event.self_device_time_total for event in profiler.key_averages())
    return microseconds / 1e6 / (stamps[1] - stamps[0])


def _feed_alone(task: Task, device: torch.device) -> float:
    """Seconds in which the pictures of an epoch are varied, if nothing is trained on them."""
    config, training = task.config, task.training
    augment = augmenter(config.augment, task.sizes.image_size)
    feed = feed_of(training, augment, config.workers, device, config.compile is True)
    passes = passes_of(plan_epoch(training.labels, config, 0, 1, ALONE))
    for _ in range(2):  # the first warms up
        began = time.perf_counter()
        for _fed in feed.passes(passes):
            pass
        wait(device)
    return time.perf_counter() - began


def bare_step(task: Task, device: torch.device) -> float:
    """Seconds of a forward and backward pass and AdamW, with nothing to decode, vary or copy."""
    sizes, config = task.sizes, task.config
    model = Classifier(load_backbone(config.backbones[0], 0, Path()), 0.5, 0).to(device).train()
    model = model.to(memory_format=layout_on(device))
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    shape = (sizes.batch_size, 3, sizes.image_size, sizes.image_size)
    pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
    pixels = pixels.contiguous(memory_format=layout_on(device))
    labels = torch.zeros(sizes.batch_size, device=device)
    dtype = dtype_on(device, config.precision, "finetune.precision")
    forward = compiled_if(config.compile is True, model)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with computing_in(dtype, device):
            logits = forward(pixels)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), labels).backward()
        optimiser.step()

    def steps() -> None:
        for _ in range(10):  # no step waits for the one before
            step()

    return seconds_each(steps, device, sizes.seconds) / 10


def _pictures(squares: list[np.ndarray], n: int) -> Pictures:
    labels = (np.arange(n) % 2).astype(np.float32)
    return Pictures([squares[i % len(squares)] for i in range(n)], labels, np.arange(n))
