"""Processes as `torchrun` starts them, on this machine, for tests."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from extractor.config import ExtractConfig
from extractor.distributed import ALONE, ProcessGroup, Workers, joined, workers_of_environment
from extractor.extract import extract
from featurestore.store.store import FeatureStore


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def rank_of(rank: int, world_size: int, port: int) -> Iterator[Workers]:
    """Joins the others, in a process of its own."""
    torch.set_num_threads(1)
    environment = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    os.environ.update(environment)
    with workers_of_environment("cpu", environment) as workers:
        yield workers


def exchange(rank: int, port: int, folder: str) -> None:
    """One of two processes that give each other everything there is to give."""
    with rank_of(rank, 2, port) as workers:
        assert isinstance(workers, ProcessGroup)
        assert joined() == workers
        assert workers.is_first == (rank == 0)
        rows = workers.gather(torch.arange(3 * rank).reshape(-1, 3) + rank)
        assert rows.tolist() == [[1, 2, 3]]
        assert workers.gather(torch.full((2 - rank,), rank)).tolist() == [0, 0, 1]
        texts = workers.gather_texts(["ä", "x\ny\u2028"] if rank == 0 else [])
        assert texts == ["ä", "x\ny\u2028"]
        assert workers.gather_texts(["b"] * rank) == ["b"]
        assert workers.gather_texts([]) == []
        assert workers.total(rank + 0.5) == 2.0
        assert workers.from_first(40 + rank) == 40
        first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))
        first.grad = torch.tensor([1.0, 2.0]) * (rank + 1)
        if rank == 1:  # the other had nothing to compute
            second.grad = torch.tensor([5.0])
        workers.sum_gradients([first, second])
        assert first.grad.tolist() == [3.0, 6.0]
        assert second.grad is not None
        assert second.grad.tolist() == [5.0]
        workers.sum_gradients([])
        workers.barrier()
    assert joined() is ALONE
    Path(folder, f"{rank}").write_text("done")


def extract_as_rank(
    rank: int, world_size: int, port: int, images: pd.DataFrame, config: ExtractConfig, root: str
) -> None:
    """Extracts as one of several processes and writes down what it was told."""
    with rank_of(rank, world_size, port) as workers:
        # Row order carries no meaning, in no process.
        shuffled = images.sample(frac=1, random_state=rank)
        store = FeatureStore(Path(root))
        report = extract(shuffled, store, config, 0, Path("/"), workers=workers)
    told = [report.embedded, report.reused, report.quarantined, sorted(report.seconds)]
    Path(f"{root}-{rank}.txt").write_text(repr(told))
