"""Independent calls in this process, in worker processes and on a Dask cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from locations import ROOT

from featurestore.errors import ConfigError, DataError
from fusion.evaluation.workers import run_all

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


def total(place: int, values: np.ndarray) -> tuple[int, float, int]:
    if place == 99:
        raise DataError("a call that fails")
    return place, float(values[place:].sum()), os.getpid()


def calls(n: int = 6) -> list[tuple[int, np.ndarray]]:
    values = np.arange(1000.0)
    return [(k, values) for k in range(n)]


EXPECTED = {k: float(np.arange(1000.0)[k:].sum()) for k in range(6)}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("jobs", [1, 2])
def test_calls_here(jobs: int) -> None:
    assert {k: v for k, v, _ in run_all(total, calls(), jobs)} == EXPECTED


@pytest.mark.slow
def test_calls_on_a_cluster(scheduler: str) -> None:
    done = list(run_all(total, calls(), 1, scheduler))
    assert {k: v for k, v, _ in done} == EXPECTED
    assert os.getpid() not in {pid for _, _, pid in done}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_call_is_raised(jobs: int) -> None:
    with pytest.raises(DataError, match="a call that fails"):
        list(run_all(total, [*calls(), (99, np.zeros(3))], jobs))


@pytest.mark.slow
def test_an_error_on_the_cluster_is_raised(scheduler: str) -> None:
    with pytest.raises(DataError, match="a call that fails"):
        list(run_all(total, [*calls(), (99, np.zeros(3))], 1, scheduler))


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusion.evaluation.workers.CONNECT_SECONDS", 1)
    with pytest.raises(ConfigError, match=r"ablation\.scheduler: cannot reach 'tcp://127"):
        list(run_all(total, calls(), 1, "tcp://127.0.0.1:9"))


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4])
def test_no_worker_outlives_a_killed_run(delay: float, tmp_path: Path) -> None:
    """Also one that had just been started and had no call yet.

    The module is imported without its package, which takes processes seconds to import.
    """
    (tmp_path / "workers_alone.py").symlink_to(ROOT / "fusion" / "evaluation" / "workers.py")
    code = (
        "import time; from workers_alone import run_all; print('ready', flush=True)\n"
        "list(run_all(time.sleep, [(0.01,)] * 2 + [(600.0,)] * 2, 2))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.kill()
    # The pipe ends when the last process that holds it does.
    assert process.communicate(timeout=300) == (b"", None)
