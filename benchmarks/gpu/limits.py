"""A card that is too small, and one that two processes share."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.agreement import cosines
from benchmarks.gpu.material import NOT_MEASURED, Sizes, squares_of
from benchmarks.gpu.speed import encoders_of
from extractor.device import ComputePlan, plan_compute
from extractor.memory import MOST, release_memory
from extractor.stages import one_torch_thread


def out_of_memory(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Whether an encoder recovers when PyTorch may take a small share of the card only."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    squares = squares_of(sizes, MOST)
    with one_torch_thread():
        encoder = encoders_of(sizes, plan_compute(str(plan.device), MOST))[0]
        expected = encoder.embed(squares)
        release_memory()
        total = torch.cuda.get_device_properties(plan.device).total_memory
        allowed = torch.cuda.memory_allocated(plan.device) + 200_000_000
        torch.cuda.set_per_process_memory_fraction(allowed / total, plan.device)
        try:
            found = encoder.embed(squares)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, plan.device)
    return {
        "provoked": bool(encoder.notice),
        "notice": encoder.notice,
        "rows": len(found),
        "minimum_cosine": float(cosines(found, expected).min()),
    }


def two_processes(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Images a second of two processes at once on one card, each with a batch that it found."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    context = multiprocessing.get_context("spawn")
    answers: Queue[dict[str, Any]] = context.Queue()
    both = [
        context.Process(target=_embed_for_a_while, args=(sizes, str(plan.device), answers))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    try:
        return {"processes": [answers.get(timeout=120) for _ in both]}
    finally:
        for process in both:
            process.join(20)
            process.kill()


def _embed_for_a_while(sizes: Sizes, device: str, answers: Queue[dict[str, Any]]) -> None:
    with one_torch_thread():
        encoder = encoders_of(sizes, plan_compute(device))[0]
        squares = squares_of(sizes, encoder.pass_size)
        rows, began = [encoder.embed(squares)], time.perf_counter()
        n = 0
        while time.perf_counter() - began < sizes.seconds:
            rows = [encoder.embed(squares)]
            n += len(squares)
        answers.put(
            {
                "images_per_second": n / (time.perf_counter() - began),
                "batch_size": encoder.pass_size,
                "finite": bool(np.isfinite(rows[0]).all()),
            }
        )
