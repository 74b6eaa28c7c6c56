"""Peak memory of one arm over many rows: table read from the store, head fitted, patients scored.

    python -m benchmarks.speed.memory STORE ROWS

The child process prints JSON. Pages of mapped files count in the resident set although the system
can take them back at any time, so what only the process holds is sampled beside it.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed import made
from featurestore.store import FeatureStore

EVERY_SECONDS = 0.01
MEGABYTE = 1e6


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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(one_arm(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
