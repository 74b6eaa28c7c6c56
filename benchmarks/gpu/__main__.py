"""Measures the extractor on one card and writes what it found; nothing else is claimed.

    python -m benchmarks.gpu [--device auto] [--small] [--json gpu.json]

`--small` runs the same in seconds, on a CPU too. What the device cannot show is `not measured`.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import timm
import torch

from benchmarks.gpu.agreement import in_company, with_cpu
from benchmarks.gpu.choices import compiled_networks, decoding
from benchmarks.gpu.heads import grid_of_heads
from benchmarks.gpu.limits import out_of_memory, two_processes
from benchmarks.gpu.material import FULL, NOT_MEASURED, SMALL, Sizes
from benchmarks.gpu.speed import end_to_end, peak_memory, stages
from benchmarks.gpu.training import finetuning
from benchmarks.gpu.training_limits import (
    agreement,
    resumed,
    training_out_of_memory,
    two_trainings,
    waits,
)
from extractor.cores import usable_cores
from extractor.device import ComputePlan, plan_compute

MINUTES = 8.0
"""After which no further part begins."""

PARTS: dict[str, Callable[[Sizes, ComputePlan], Any]] = {
    "stages": stages,
    "agreement_with_cpu_float32": with_cpu,
    "change_in_other_company": in_company,
    "out_of_memory": out_of_memory,
    "end_to_end": end_to_end,
    "finetune": finetuning,
    "finetune_waits": waits,
    "finetune_agreement_with_cpu": agreement,
    "finetune_resumed": resumed,
    "finetune_out_of_memory": training_out_of_memory,
    "grid_of_heads": grid_of_heads,
    "two_processes": two_processes,
    "two_trainings": two_trainings,
    "not_taken.compiled_networks": compiled_networks,
    "not_taken.decoding_on_the_card": decoding,
}


def measure(sizes: Sizes, device: str) -> dict[str, Any]:
    """Measures every part; one that fails says why, and the others go on.

    Returns:
        Numbers as JSON holds them, by part.

    Raises:
        ConfigError: There is no such device.
    """
    plan = plan_compute(device)
    began = time.monotonic()
    found: dict[str, Any] = {"device": _device(plan), "versions": _versions()}
    peaks: dict[str, int | str] = {}
    seconds: dict[str, float] = {}
    for name, part in PARTS.items():
        if time.monotonic() - began > 60 * MINUTES:
            found[name] = f"{NOT_MEASURED}: the time was over"
            continue
        started = time.monotonic()
        try:
            found[name] = part(sizes, plan)
        except Exception as error:  # the report of what did run is worth more than a traceback
            found[name] = f"{NOT_MEASURED}: {type(error).__name__}: {str(error)[:200]}"
        seconds[name] = time.monotonic() - started
        peaks[name] = peak_memory(plan.device)
    found["peak_memory_bytes"] = peaks
    found["seconds"] = seconds | {"all": time.monotonic() - began}
    return found


def _device(plan: ComputePlan) -> dict[str, Any]:
    card: dict[str, Any] = {"name": NOT_MEASURED, "memory_bytes": NOT_MEASURED}
    if plan.device.type == "cuda":
        known = torch.cuda.get_device_properties(plan.device)
        card = {"name": known.name, "memory_bytes": known.total_memory}
    return {"type": plan.device.type, "dtype": plan.dtype_name, "cores": usable_cores()} | card


def _versions() -> dict[str, str]:
    cuda = torch.version.cuda or NOT_MEASURED
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "cuda": cuda,
    }


def lines(found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Rows of the table: where a number stands in the JSON, and the number."""
    for key, value in found.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            yield from lines(value, f"{name}.")
        elif isinstance(value, list):
            yield from lines({str(i): one for i, one in enumerate(value)}, f"{name}.")
        else:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            yield f"| {name} | {text} |"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    found = measure(SMALL if options.small else FULL, options.device)
    options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    click.echo("| what | value |\n|---|---|")
    for line in lines(found):
        click.echo(line)


if __name__ == "__main__":
    main()
