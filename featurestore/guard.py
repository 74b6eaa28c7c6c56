"""HDF5 files of other people are read once in a child process, before they are read here.

Damaged or crafted bytes can hang the HDF5 library or end the process it runs in. So a child
process, `python -m featurestore.guard`, reads all that a reader could ask for; a file that it does
not get through in time, or that ends it, is refused, and the child begins anew with the next one.
What a file that was got through says wrongly is left to the readers.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py

SECONDS = 60.0
BYTES_A_SECOND = 2_000_000
"""A file has `SECONDS` and the time that reading it at this rate takes."""

MAX_ADDRESSES = 16_000_000_000
"""Bytes of memory that the child may ask for."""

MOST_OBJECTS = 1_000_000
_PART_BYTES = 16_000_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PLACES = (0, 512, 1024, 2048, 4096)
_ENDS = "reading it ends the HDF5 library: it is damaged"
_LASTS = "not read within"
_COMMAND = (sys.executable, "-m", "featurestore.guard")


def unsound(paths: Sequence[Path]) -> dict[Path, str]:
    """Those of some files that cannot be read without harm, with the reason; others are not opened.

    Files that are no HDF5 are sound to this.
    """
    waiting = [path for path in paths if _is_hdf5(path)]
    refused: dict[Path, str] = {}
    while waiting:
        done, why = _read_elsewhere(waiting)
        if done < len(waiting):
            refused[waiting[done]] = why
        waiting = waiting[done + 1 :]
    return refused


def is_refusal(reason: str) -> bool:
    """Whether a reason is one of `unsound`."""
    return reason == _ENDS or reason.startswith(_LASTS)


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            for place in _PLACES:
                file.seek(place)
                if file.read(len(_SIGNATURE)) == _SIGNATURE:
                    return True
    except OSError:
        pass
    return False


def _read_elsewhere(paths: Sequence[Path]) -> tuple[int, str]:
    """How many files a child got through, and what became of the next one."""
    child = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[1],
    )
    assert child.stdin is not None
    assert child.stdout is not None
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    output = child.stdout

    def listen() -> None:
        for line in output:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=listen, daemon=True).start()
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(b"".join(str(p.absolute()).encode() + b"\0" for p in paths))
            child.stdin.close()
        for done, path in enumerate(paths):
            limit = _seconds_for(path)
            try:
                if lines.get(timeout=limit) == b"":
                    return done, _ENDS
            except queue.Empty:
                return done, f"{_LASTS} {limit:.0f} s: it is damaged, or claims too much"
    finally:
        child.kill()
        child.wait()
    return len(paths), ""


def _seconds_for(path: Path) -> float:
    return SECONDS + path.stat().st_size / BYTES_A_SECOND


def _end_after(path: Path) -> None:
    """Ends the child where nobody is left to end it: a signal comes through a hanging library."""
    with contextlib.suppress(AttributeError, OSError):  # not everywhere
        signal.alarm(int(_seconds_for(path)) + 10)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not everywhere

        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESSES, MAX_ADDRESSES))


def _read_all(path: str) -> None:
    """Reads what is in a file; runs in the child. What raises is the readers' to say."""
    with contextlib.suppress(Exception), h5py.File(path, "r") as file:
        seen: set[Any] = set()
        _read_group(file, seen)


def _read_group(group: h5py.Group, seen: set[Any]) -> None:
    _read_attributes(group)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        one = group[name]
        key = h5py.h5o.get_info(one.id).addr
        if key in seen or len(seen) > MOST_OBJECTS:
            continue
        seen.add(key)
        with contextlib.suppress(Exception):
            if isinstance(one, h5py.Group):
                _read_group(one, seen)
            elif isinstance(one, h5py.Dataset) and not one.is_virtual and not one.external:
                _read_attributes(one)
                _read_dataset(one)


def _read_dataset(data: h5py.Dataset) -> None:
    if not data.ndim:
        data[()]
        return
    length = data.shape[-2] if data.ndim > 1 and data.shape[0] == 1 else data.shape[0]
    row = max(1, data.size // max(length, 1))
    step = max(1, _PART_BYTES // (row * data.dtype.itemsize))
    for start in range(0, length, step):
        rows = slice(start, start + step)
        data[0, rows] if length != data.shape[0] else data[rows]


def _read_attributes(holder: h5py.Group | h5py.Dataset) -> None:
    for name in holder.attrs:
        with contextlib.suppress(Exception):
            holder.attrs[name]


if __name__ == "__main__":
    _limit_memory()
    for _path in sys.stdin.buffer.read().split(b"\0")[:-1]:
        _end_after(Path(_path.decode()))
        _read_all(_path.decode())
        sys.stdout.write("\n")
        sys.stdout.flush()
