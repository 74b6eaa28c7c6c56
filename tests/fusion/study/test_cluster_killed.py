"""Arms on a real Dask cluster, studies on a real PostgreSQL server, and a worker that is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from postgres_example import postgres
from tabular_example import write_study

from fusion.study.study import Study

MODELS = (
    "ablation.models=[lightgbm, logistic_regression]",
    "ablation.tuning={trials: 2, inner_folds: 2}",
)


def kill_after_the_first_part(parts: Path, pid: int, seen: list[int]) -> threading.Thread:
    """Kills a process as soon as a part is finished; tells how many there were."""

    def watch() -> None:
        while not (found := list(parts.glob("*.parquet")) if parts.exists() else []):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        seen.append(len(found))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_killed_worker_changes_no_prediction(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    rng = np.random.default_rng(0)
    event = np.arange(60) % 2
    table = pd.DataFrame({"id": [f"p{k:02d}" for k in range(60)], "event": event})
    table["grade"] = event + rng.normal(size=60).round(3)
    columns = {"grade": ("histopathology", "diagnosis")}
    write_study(tmp_path / "config.yaml", table, columns)
    here = Study.open(tmp_path / "config.yaml", tmp_path / "here", overrides=MODELS).ablate()
    with (
        postgres() as server,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
    ):
        overrides = [
            *MODELS,
            f"ablation.scheduler={cluster.scheduler_address}",
            f"ablation.tuning.storage={server.url}",
        ]
        study = Study.open(
            tmp_path / "config.yaml", tmp_path / "there" / "run", overrides=overrides
        )
        victim = next(iter(cluster.workers.values())).pid
        seen: list[int] = []
        watching = kill_after_the_first_part(study.project.shared / "parts", victim, seen)
        there = study.ablate()
        watching.join(timeout=10)
        assert victim not in {worker.pid for worker in cluster.workers.values()}
    finished = len(list((study.project.shared / "parts").glob("*.parquet")))
    assert 0 < seen[0] < finished
    assert not (study.project.shared / "tuning").exists()
    pd.testing.assert_frame_equal(here, there, check_exact=True)
