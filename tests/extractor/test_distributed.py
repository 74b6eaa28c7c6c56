from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st
from processes_example import exchange, free_port
from torch import nn

import extractor
from extractor.distributed import ALONE, ProcessGroup, joined, workers_of_environment
from featurestore.errors import ConfigError

VARIABLES = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}


def test_without_a_launcher_a_process_is_alone() -> None:
    with workers_of_environment("cpu", {}) as workers:
        assert workers is ALONE
    with workers_of_environment("cpu", VARIABLES | {"WORLD_SIZE": "1"}) as workers:
        assert workers is ALONE
    assert joined() is ALONE


@pytest.mark.parametrize("absent", ["RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_an_incomplete_environment_is_one_line(absent: str) -> None:
    environment = {k: v for k, v in VARIABLES.items() if k != absent}
    with (
        pytest.raises(ConfigError, match=f"but not {absent}: start with torchrun"),
        workers_of_environment("cpu", environment),
    ):
        pass


def test_alone_nothing_is_exchanged() -> None:
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    ALONE.sum_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]
    assert ALONE.gather(torch.arange(3)).tolist() == [0, 1, 2]
    assert ALONE.gather_texts(["a", "b"]) == ["a", "b"]
    assert ALONE.total(2.5) == 2.5
    assert ALONE.from_first(7) == 7
    assert ALONE.is_first
    ALONE.barrier()


@settings(deadline=None)
@given(st.integers(1, 6), st.lists(st.binary(min_size=32, max_size=32), max_size=30, unique=True))
def test_every_content_belongs_to_one_process(world_size: int, contents: list[bytes]) -> None:
    digests = [c.hex() for c in contents]
    ranks = [ProcessGroup(r, world_size, r) for r in range(world_size)]
    owners = [[rank.owns(digest) for rank in ranks] for digest in digests]
    assert all(sum(row) == 1 for row in owners)
    assert [rank.owns("") for rank in ranks] == [rank.is_first for rank in ranks]
    assert all(ALONE.owns(digest) for digest in [*digests, ""])


def test_contents_are_shared_evenly() -> None:
    rng = np.random.default_rng(0)
    digests = [rng.bytes(32).hex() for _ in range(3000)]
    for rank in range(3):
        share = sum(ProcessGroup(rank, 3, rank).owns(digest) for digest in digests)
        assert share == pytest.approx(1000, abs=100)


def test_ranks_beyond_the_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(ProcessGroup(3, 4, 1).device("cuda")) == "cuda:1"
    assert str(ProcessGroup(3, 4, 1).device("cpu")) == "cpu"
    with pytest.raises(ConfigError, match="3 or more processes on a machine with 2 CUDA devices"):
        ProcessGroup(2, 4, 2).device("cuda")


def test_a_lost_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*arguments: object) -> None:
        raise RuntimeError("Connection closed by peer\nwith a trace")

    monkeypatch.setattr("torch.distributed.all_gather", lost)
    monkeypatch.setattr("torch.distributed.all_reduce", lost)
    monkeypatch.setattr("torch.distributed.get_backend", lambda: "gloo")
    rank = ProcessGroup(1, 2, 1)
    parameter = nn.Parameter(torch.ones(1))
    for exchange_with_it in (rank.barrier, lambda: rank.sum_gradients([parameter])):
        with pytest.raises(ConfigError, match="process 1 of 2 lost the others") as caught:
            exchange_with_it()
        assert "\n" not in str(caught.value)


LATE_IMPORT = """
from pathlib import Path
from extractor.distributed import workers_of_environment
with workers_of_environment("cpu") as workers:
    import extractor.extract  # as a command does, after it has joined
    workers.barrier()
names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
assert names
assert not [name for name in names if "gloo" in name], names
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux only")
def test_no_thread_of_the_group_outlives_it() -> None:
    """One that does ends the process with an abort, now and then, after its work is done."""
    environment = os.environ | VARIABLES | {"MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(extractor.__file__).resolve().parents[1])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", LATE_IMPORT],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], errors


@pytest.mark.slow
def test_two_processes_exchange_rows_lines_and_gradients(tmp_path: Path) -> None:
    mp.spawn(exchange, args=(free_port(), str(tmp_path)), nprocs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
