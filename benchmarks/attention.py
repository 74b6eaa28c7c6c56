"""Whether attention over tiles finds what their mean loses, and in how much memory.

    python -m benchmarks.attention [--patients 600] [--tiles 400] [--memory-mb 64]

Synthetic slides: tiles are standard normal noise, and with the outcome one tile in a hundred is
moved in one of its numbers. A whole study is run on them, from files as TRIDENT writes them to the
report's numbers, with `fusion_head` (on the mean of the tiles) and `fusion_head_attention`. Memory
is that of one fit on all patients, over what the process had before it (Linux).
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import pandas as pd
import yaml

from fusion.arms import Arm, Modality
from fusion.models import make_model
from fusion.study.study import Study

MEAN, ATTENTION = "fusion_head[tiles]", "fusion_head_attention[tiles]"


@click.command(help=__doc__)
@click.option("--patients", default=600, show_default=True)
@click.option("--tiles", default=400, show_default=True, help="Of each slide.")
@click.option("--width", default=64, show_default=True, help="Numbers of a tile.")
@click.option("--shift", default=5.0, show_default=True, help="In standard deviations.")
@click.option("--memory-mb", default=64, show_default=True, help="`ablation.attention.memory_mb`.")
@click.option("--seed", default=0, show_default=True)
def main(patients: int, tiles: int, width: int, shift: float, memory_mb: int, seed: int) -> None:
    """Prints AUROC of both, their paired difference, and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_slides(folder, patients, tiles, width, shift, seed)
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(configuration(memory_mb, seed)))
        click.echo(
            f"{patients} patients, half with the outcome; {tiles} tiles of {width} numbers each "
            f"({size / 1e6:.0f} MB); with it, 1 tile in 100 is moved by {shift:g} SD in one number"
        )
        study = Study.open(config, folder / "out")
        click.echo(memory_of_a_fit(study, memory_mb))  # first: memory freed by others hides it
        started = time.perf_counter()
        by_arm = {arm.arm: arm for arm in study.evidence(study.ablate()).arms}
        click.echo(f"5 folds, both arms: {time.perf_counter() - started:.0f} s")
        for arm in (MEAN, ATTENTION):
            found = by_arm[arm].metrics["auroc"]
            click.echo(f"{arm:30} AUROC {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
        difference = by_arm[ATTENTION].differences["auroc"].estimate
        click.echo(
            f"attention minus mean, paired: {difference.value:+.3f} "
            f"[{difference.low:+.3f}, {difference.high:+.3f}]"
        )


def make_slides(
    folder: Path, patients: int, tiles: int, width: int, shift: float, seed: int
) -> int:
    """Writes a table of patients and a file a slide; returns the bytes of their features."""
    rng = np.random.default_rng(seed)
    ids = [f"p{k:05d}" for k in range(patients)]
    event = np.arange(patients) % 2
    age = 60 + 10 * rng.normal(size=patients).round(3)
    table = pd.DataFrame({"id": ids, "age": age, "event": event})
    table.to_csv(folder / "patients.csv", index=False)
    (folder / "slides").mkdir()
    for patient, outcome in zip(ids, event, strict=True):
        bag = rng.normal(size=(tiles, width)).astype(np.float32)
        if outcome:
            moved = rng.choice(tiles, max(1, tiles // 100), replace=False)
            bag[moved, 0] += np.float32(shift)
        with h5py.File(folder / "slides" / f"{patient}.h5", "w") as file:
            file["features"], file["coords"] = bag, np.zeros((tiles, 2))
    return patients * tiles * width * 4


def configuration(memory_mb: int, seed: int) -> dict[str, Any]:
    """A study of both heads on the tiles alone."""
    age = {"source": "age", "kind": "numeric", "measured": "diagnosis"}
    return {
        "name": "attention",
        "seed": seed,
        "cohort": {
            "outcome": {"name": "event", "column": "event", "as_of_time": "diagnosis"},
            "sources": [
                {
                    "kind": "table",
                    "path": "patients.csv",
                    "id": "id",
                    "columns": {"age": age},
                    "labels": {"event": "event"},
                }
            ],
        },
        "embeddings": [
            {"name": "tiles", "path": "slides/*.h5", "pool": "none", "trained_on": "none"}
        ],
        "ablation": {
            "models": ["fusion_head", "fusion_head_attention"],
            "subsets": [["tiles"]],
            "arms": [],
            "reference": MEAN,
            "explain": False,
            "attention": {"memory_mb": memory_mb},
            "head": {"ensemble": 1},
            "jobs": 1,
        },
    }


def memory_of_a_fit(study: Study, memory_mb: int) -> str:
    """Peak memory of one fit on all patients over what there was before, from /proc (Linux).

    A small fit goes before it.
    """
    table = study.features(0, 0)
    arm = Arm(ATTENTION, "fusion_head_attention", (Modality("tiles", embeddings=("tiles",)),))
    config = study.config.ablation
    few = table.of_patients(np.unique(table.patient_ids.astype(str))[:40])
    make_model(arm, config).fit(few, 0)  # what is loaded once, and stays
    model = make_model(arm, config)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    model.fit(table, 0).predict_proba(table)
    peak = memory("VmHWM") - before
    return f"peak memory of a fit: {peak:.0f} MB over {before:.0f} MB; budget {memory_mb} MB"


def memory(field: str) -> float:
    """A field of /proc/self/status in megabytes."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


if __name__ == "__main__":
    main()
