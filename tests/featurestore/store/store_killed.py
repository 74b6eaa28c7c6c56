"""Kills a writer before every STEP-th line of its code, or lets several quarantine at once.

A process of its own: it starts no threads before it forks, as one that runs tests may have, and a
forked process can wait forever for a lock that one of them held.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

from store_example import digest  # noqa: E402
from store_lines_example import at_line, lines_of_a_write, write_traced  # noqa: E402

from featurestore.store.quarantine import QuarantineRow  # noqa: E402
from featurestore.store.store import FeatureStore  # noqa: E402

QUARANTINED = 5


def kill_writers(root: Path, step: int) -> None:
    """Prints for each line: its number, how many rows the writer was told were given."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment]  # a kill loses nothing that the kernel has
    lines = lines_of_a_write(root / "whole")
    for number in range(1, lines + 1, step):
        given = rows_given_by_a_writer_killed_at(number, root / str(number))
        sys.stdout.write(f"{number} {given}\n")
        sys.stdout.flush()  # a forked process must not have it to write


def rows_given_by_a_writer_killed_at(number: int, root: Path) -> int:
    listening, telling = os.pipe()
    child = os.fork()
    if child == 0:
        kill = at_line(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
        write_traced(root, lambda rows: os.write(telling, bytes([rows])), kill)
        os._exit(1)
    os.close(telling)
    _, status = os.waitpid(child, 0)
    told = os.read(listening, 10)
    os.close(listening)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"the writer to be killed before line {number} ended by itself")
    return told[-1] if told else 0


def quarantine_at_once(root: Path, processes: int) -> None:
    children = []
    for worker in range(processes):
        child = os.fork()
        if child == 0:
            for k in range(QUARANTINED):
                row = QuarantineRow(digest(k), f"{worker} {k}", "p", "r")
                FeatureStore(root).quarantine([row])
            os._exit(0)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    sys.stdout.write(f"{ended}\n")


if __name__ == "__main__":
    act, folder, count = sys.argv[1:]
    {"kill": kill_writers, "quarantine": quarantine_at_once}[act](Path(folder), int(count))
