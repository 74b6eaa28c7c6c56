"""Peak memory of one arm over many rows: table read from the store, head fitted, patients scored.

    python -m benchmarks.speed.memory STORE ROWS

The child process prints JSON. Pages of mapped files count in the resident set although the system
can take them back at any time, so what only the process holds is sampled beside it.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.speed import made
from benchmarks.speed.figures import Figure
from featurestore.store import FeatureStore

EVERY_SECONDS = 0.01
MEGABYTE = 1e6
MILLION, FULL_WIDTH, GOAL = 1_000_000, 1792, 6000.0
WIDTHS = {"net0": 640, "net1": 384}
"""Embeddings of the measured store; wide enough that its table stays in a file."""


@dataclasses.dataclass
class Peaks:
    """Largest memory of this process, in MB.

    Attributes:
        own: Memory that no file backs, sampled.
        resident: All that was resident, pages of files included, as the system counted.
    """

    own: float = 0.0
    resident: float = 0.0


@contextmanager
def watched() -> Iterator[Peaks]:
    """Samples the memory of this process inside the block."""
    peaks, over = Peaks(), threading.Event()

    def sample() -> None:
        while not over.wait(EVERY_SECONDS):
            peaks.own = max(peaks.own, _own_memory())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
        peaks.resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576


def _own_memory() -> float:
    text = Path("/proc/self/status").read_text()
    found = dict(line.split(":", 1) for line in text.splitlines())
    return sum(int(found[key].split()[0]) for key in ("RssAnon", "RssShmem")) * 1024 / MEGABYTE


def one_arm(store: Path, rows: int, epochs: int = 1) -> dict[str, float]:
    """Fits the default fusion head on four of five rows of a made store and scores the fifth."""
    from fusion.arms import Arm, Modality
    from fusion.config import AblationConfig, HeadConfig
    from fusion.evaluation.tasks import split_fold
    from fusion.features import FeatureReader
    from fusion.models import make_model

    cohort = made.cohort(rows)
    people = cohort.patients["patient_id"].tolist()
    encoders = {e.backbone: e for e in FeatureStore(store).encoders()}
    started = _own_memory()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal since
        now = time.perf_counter()
        seconds[name], since = now - since, now
        seconds[f"own_until_{name}"] = peaks.own

    with watched() as peaks, tempfile.TemporaryDirectory() as scratch:
        since = time.perf_counter()
        groups = dict(zip(people, people, strict=True))
        reader = FeatureReader(cohort, groups, FeatureStore(store), scratch=Path(scratch))
        table = reader.read(encoders, [])
        lap("read")
        training, test = split_fold(table, (p for k, p in enumerate(people) if k % 5), people[::5])
        lap("split")
        config = AblationConfig(head=HeadConfig(epochs=epochs, ensemble=1))
        arm = Arm("images", "fusion_head", (Modality("images", embeddings=tuple(encoders)),))
        model = make_model(arm, config)
        model.fit(training, 0)
        lap("fit")
        score = model.predict_proba(test)
        lap("score")
    assert len(score) == len(test)
    return {**dataclasses.asdict(peaks), "before": started, **seconds}


def measure(quick: bool) -> list[Figure]:
    """Row 10: two sizes in child processes, their growth carried to a million rows.

    Width is carried too: mapped rows grow with it, and nothing else that is measured does.
    """
    sizes = (70_000, 90_000) if quick else (80_000, 120_000, 160_000)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, dimension in WIDTHS.items():
            made.write_store(Path(folder), made.encoder(name, dimension), max(sizes))
        for rows in sizes:
            command = [sys.executable, "-m", "benchmarks.speed.memory", folder, str(rows)]
            child = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(child.stdout))
    slopes = {
        name: np.polyfit(sizes, [one[name] for one in found], 1) for name in ("own", "resident")
    }
    carried = {name: float(np.polyval(line, MILLION)) for name, line in slopes.items()}
    wider = 2 * (FULL_WIDTH - sum(WIDTHS.values())) * MILLION / MEGABYTE
    peak = carried["resident"] + wider
    what = f"one arm on {MILLION:,} x {FULL_WIDTH} float16, carried from {sizes[-1]:,} rows"
    details = {
        **{f"own_mb_{n}": one["own"] for n, one in zip(sizes, found, strict=True)},
        **{f"resident_mb_{n}": one["resident"] for n, one in zip(sizes, found, strict=True)},
        "own_carried_mb": carried["own"],
        "mapped_mb": 2 * FULL_WIDTH * MILLION / MEGABYTE,
    }
    met = None if quick else peak <= GOAL
    return [Figure(10, what, f"{GOAL / 1000:.0f} GB", peak / 1000, "GB", met, "", details)]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(one_arm(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
