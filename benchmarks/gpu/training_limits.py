"""Fine-tuning that waits, runs out of memory, is interrupted, shares a card, or is a CPU's."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.material import NOT_MEASURED, Sizes
from benchmarks.gpu.training import Task, task_of
from extractor.device import ComputePlan
from extractor.finetune import loop
from extractor.finetune.augment import OwnAugmenter
from extractor.finetune.batches import Pass
from extractor.finetune.feed import DeviceFeed
from extractor.finetune.loop import Company, Trained
from extractor.memory import release_memory

_FEW = 64  # pictures of trainings that are compared


class _Told:
    """Keeps what a training says at its end."""

    summary = ""

    def start(self, stage: str, total: int) -> None:
        """Nothing is kept of it."""

    def advance(self, n: int = 1, detail: str = "") -> None:
        """Nothing is kept of it."""

    def finish(self, summary: str = "") -> None:
        """Keeps the summary."""
        self.summary = summary


def waits(sizes: Sizes, plan: ComputePlan) -> dict[str, int] | str:
    """How often the host waits for the card inside the steps of an epoch, as CUDA reports it."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    with watching(loop._Loop, "_step") as found:
        _trained(task_of(sizes, plan.device, _FEW, compile=False), 2)
    return found


@contextlib.contextmanager
def watching(owner: type, name: str) -> Iterator[dict[str, int]]:
    """Counts the calls of a method, and how often the host waits for the card inside them."""
    method, found = getattr(owner, name), {"steps": 0, "waits": 0}

    def watched(*args: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = method(*args)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        found["steps"] += 1
        found["waits"] += sum("synchroniz" in str(one.message) for one in caught)
        return result

    setattr(owner, name, watched)
    try:
        yield found
    finally:
        setattr(owner, name, method)


def training_out_of_memory(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Whether a training recovers when PyTorch may take a small share of the card only."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    task = task_of(sizes, plan.device, 256, batch_size=256, batch_norm="frozen", compile=False)
    expected = _trained(task, 1)
    release_memory()
    total = torch.cuda.get_device_properties(plan.device).total_memory
    allowed = torch.cuda.memory_allocated(plan.device) + 1_500_000_000
    told = _Told()
    torch.cuda.set_per_process_memory_fraction(allowed / total, plan.device)
    try:
        found = _trained(task, 1, Company(progress=told))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, plan.device)
    return {
        "provoked": "ran out of memory" in told.summary,
        "summary": told.summary,
        "change_of_weights": _change(found, expected),
    }


def resumed(sizes: Sizes, plan: ComputePlan) -> dict[str, float]:
    """Change of weights, relative to their length, of two epochs if interrupted or again.

    On a CPU both are 0.
    """
    task = task_of(sizes, plan.device, min(_FEW, sizes.samples), compile=False)
    whole = _trained(task, 2)
    with tempfile.TemporaryDirectory() as scratch:
        task.run(Path(scratch), 1)
        interrupted = task.run(Path(scratch), 2)
    return {
        "interrupted": _change(interrupted, whole),
        "again": _change(_trained(task, 2), whole),
    }


def agreement(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """A card's training beside a CPU's in float32: pictures, losses and weights of an epoch."""
    if plan.device.type == "cpu":
        return dict.fromkeys(("pictures", "train_loss", "change_of_weights"), NOT_MEASURED)
    card = task_of(sizes, plan.device, _FEW, compile=False)
    cpu = task_of(sizes, torch.device("cpu"), _FEW, compile=False)
    one, other = _trained(card, 1), _trained(cpu, 1)
    return {
        "pictures": _pictures_away(card, plan.device),
        "train_loss": {"card": one.history[0].train_loss, "cpu": other.history[0].train_loss},
        "change_of_weights": _change(one, other),
    }


def _pictures_away(task: Task, device: torch.device) -> dict[str, float]:
    """Grey levels between pictures that the card varied and those of a CPU."""
    training, augment = task.training, OwnAugmenter(task.config.augment, task.sizes.image_size)
    rows = np.arange(len(training.labels))
    part = Pass(rows, rows)
    found, expected = (
        next(DeviceFeed(training, augment, place).passes([part]))[0].cpu().int()
        for place in (device, torch.device("cpu"))
    )
    away = (found - expected).abs().float()
    return {"greatest": float(away.max()), "share_above_1": float((away > 1).float().mean())}


def two_trainings(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Seconds of two epochs in each of two processes at once on one card, and in one alone."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    return {"alone": _side_by_side(sizes, plan, 1), "both": _side_by_side(sizes, plan, 2)}


def _side_by_side(sizes: Sizes, plan: ComputePlan, n: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    answers: Queue[float] = context.Queue()
    arguments = (sizes, str(plan.device), answers)
    processes = [context.Process(target=_train_for_a_while, args=arguments) for _ in range(n)]
    for process in processes:
        process.start()
    try:
        return [answers.get(timeout=120) for _ in processes]
    finally:
        for process in processes:
            process.join(20)
            process.kill()


def _train_for_a_while(sizes: Sizes, device: str, answers: Queue[float]) -> None:
    stamps: list[float] = []
    company = Company(record=lambda history: stamps.append(time.perf_counter()))
    _trained(task_of(sizes, torch.device(device), sizes.samples // 2, compile=False), 3, company)
    answers.put(stamps[-1] - stamps[1])


def _trained(task: Task, epochs: int, company: Company | None = None) -> Trained:
    with tempfile.TemporaryDirectory() as scratch:
        return task.run(Path(scratch), epochs, company)


def _change(found: Trained, expected: Trained) -> float:
    """Length of the difference of all weights, over that of the weights."""
    both = [(found.weights[name].double(), x.double()) for name, x in expected.weights.items()]
    away = sum(float(((a - b) ** 2).sum()) for a, b in both)
    return (away / sum(float((b**2).sum()) for _, b in both)) ** 0.5
