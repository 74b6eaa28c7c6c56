"""Heads of a grid on the device: as one program, and one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.gpu.material import NOT_MEASURED, Sizes, wait
from benchmarks.gpu.training_limits import watching
from benchmarks.speed.heads import (
    Fold,
    arms_of,
    each,
    make_folds,
    make_rows,
    one_by_one,
    tested,
    together,
)
from extractor.device import ComputePlan
from extractor.memory import peak_of_run
from fusion.config import HeadConfig
from fusion.models.head_stack import StackedHeads
from fusion.models.training_together import HeadFit

_FOLDS = 5


def grid_of_heads(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """An arm on all modalities, five folds of three heads: seconds, AUROC, peak of memory, waits.

    One by one the rows and heads lie on the device before the clock starts; batched they are
    copied there while it runs. Without a card it is the CPU, on as many threads as it has.
    """
    patients, epochs = (1000, 20) if sizes.samples > 100 else (100, 1)
    alone = HeadConfig(epochs=epochs)
    device = "cuda" if plan.device.type == "cuda" else "cpu"
    batched = HeadConfig(epochs=epochs, batched=True, device=device)
    rows = arms_of(make_rows(patients), 1)[0]
    on_device = make_folds(rows.to(plan.device), _FOLDS, alone)
    found: dict[str, Any] = {
        "one_by_one": _timed(on_device, each(one_by_one), plan),
        "batched": _timed(make_folds(rows, _FOLDS, batched), together, plan),
    }
    times = found["one_by_one"]["seconds"] / found["batched"]["seconds"]
    short = batched.model_copy(update={"epochs": 1})
    found["waits"] = _waits(make_folds(rows, _FOLDS, short), plan)
    return found | {"heads": _FOLDS * alone.ensemble, "times_faster": times}


def _timed(
    made: Sequence[Fold], train: Callable[[Sequence[HeadFit]], None], plan: ComputePlan
) -> dict[str, Any]:
    fits = [fit for members, _ in made for fit in members]
    seconds = 0.0

    def run() -> None:
        nonlocal seconds
        started = time.perf_counter()
        train(fits)
        wait(plan.device)
        seconds = time.perf_counter() - started

    if plan.device.type == "cuda":
        peak: int | str = peak_of_run(plan.device, run)
    else:
        run()
        peak = NOT_MEASURED
    return {"seconds": seconds, "auroc": tested(made), "peak_bytes": peak}


def _waits(made: Sequence[Fold], plan: ComputePlan) -> dict[str, int] | str:
    if plan.device.type != "cuda":
        return NOT_MEASURED
    with watching(StackedHeads, "step") as found:
        together([fit for members, _ in made for fit in members])
    return found
