"""Decodes pictures in processes with a time limit, so that no picture stops the others.

There are two lanes. A picture has a moment in the quick one; one that needs longer is decoded again
in the slow one, where such pictures wait for each other and for nobody else.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from extractor.images import Geometry
from fusion.predict.encoders import Squares
from fusion.serve.decoder import DECODED
from fusion.serve.problems import Problem

QUICK_SECONDS, SLOW_SECONDS = 2.0, 15.0
QUICK_PROCESSES = 2
SLOW_WAITING = 3
_START_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[2]


class TooSlow(Exception):
    """A picture took longer than it may; its process was killed."""


class Decoders:
    """Processes that decode.

    Threads may share it; each call takes a process for itself.
    """

    def __init__(self, geometries: Sequence[Geometry], pixels: int, most: int) -> None:
        """Starts the processes.

        Args:
            geometries: Squares that pictures are laid out for.
            pixels: Larger pictures are refused by the service.
            most: Larger pictures are refused by the bundle.
        """
        told = json.dumps(
            {
                "geometries": [[g.size, g.resampling] for g in geometries],
                "pixels": pixels,
                "most": most,
            }
        ).encode()
        self._quick = _Lane(QUICK_PROCESSES, QUICK_SECONDS, geometries, told, 0)
        self._slow = _Lane(1, SLOW_SECONDS, geometries, told, 10)
        self._slow_places = threading.Semaphore(SLOW_WAITING)

    def decode(self, data: bytes, number: int) -> tuple[Squares, bool]:
        """Decodes a picture.

        Args:
            data: Bytes of the file.
            number: Of the picture in its request, for messages.

        Returns:
            The squares, and whether it was quick.

        Raises:
            Problem: It is refused, takes too long, or too many slow ones wait already.
        """
        try:
            return self._quick.decode(data, number), True
        except TooSlow:
            pass
        if not self._slow_places.acquire(blocking=False):
            raise Problem(
                503,
                f"image {number}: it is slow to decode, and {SLOW_WAITING} such images wait "
                f"already; try again later",
                {"retry-after": str(round(SLOW_SECONDS))},
            )
        try:
            return self._slow.decode(data, number), False
        except TooSlow:
            raise Problem(
                422, f"image {number}: decoding it takes longer than {SLOW_SECONDS:g} s"
            ) from None
        finally:
            self._slow_places.release()

    def close(self) -> None:
        """Kills the processes; what they were decoding is answered 503."""
        self._quick.close()
        self._slow.close()


class _Lane:
    """Some processes with one time limit."""

    def __init__(
        self, count: int, seconds: float, geometries: Sequence[Geometry], told: bytes, nice: int
    ) -> None:
        self._seconds = seconds
        self._geometries = geometries
        self._told, self._nice = told, nice
        self._closed = False
        self._all: set[_Process] = set()
        self._free: queue.Queue[_Process] = queue.Queue()
        for _ in range(count):
            self._free.put(self._started())

    def decode(self, data: bytes, number: int) -> Squares:
        process = self._free.get()
        try:
            if self._closed:
                raise _ending()
            reply = process.ask(data, self._seconds)
        except (EOFError, OSError):  # it died: killed for its memory, or by `close`
            self._all.discard(process)
            process.kill()
            process = process if self._closed else self._started()
            if self._closed:
                raise _ending() from None
            raise Problem(422, f"image {number}: it cannot be decoded") from None
        except TooSlow:
            self._all.discard(process)
            process.kill()
            process = process if self._closed else self._started()
            raise
        finally:
            self._free.put(process)
        if reply[:1] == DECODED:
            return self._squares(reply[1:])
        status, reason = json.loads(reply[1:])
        raise Problem(status, f"image {number}: {reason}")

    def close(self) -> None:
        self._closed = True
        for process in list(self._all):
            process.kill()

    def _started(self) -> _Process:
        process = _Process(self._told, self._nice)
        self._all.add(process)
        return process

    def _squares(self, data: bytes) -> Squares:
        found, start = {}, 0
        for geometry in self._geometries:
            shape = (geometry.size, geometry.size, 3)
            end = start + geometry.size * geometry.size * 3
            found[geometry] = np.frombuffer(data[start:end], dtype=np.uint8).reshape(shape)
            start = end
        return found


class _Process:
    """One process and the pipe to it."""

    def __init__(self, told: bytes, nice: int) -> None:
        own, other = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": _with_root(os.environ.get("PYTHONPATH", ""))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fusion.serve.decoder", str(other.fileno()), str(nice)],
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        other.close()
        self._pipe = Connection(own.detach())
        self._pipe.send_bytes(told)
        self._is_ready = False

    def ask(self, data: bytes, seconds: float) -> bytes:
        """The answer to a picture.

        Raises:
            TooSlow: It takes longer.
            EOFError, OSError: The process has ended.
        """
        if not self._is_ready:  # its start is no fault of the picture
            if not self._pipe.poll(_START_SECONDS):
                raise TooSlow
            self._pipe.recv_bytes()
            self._is_ready = True
        self._pipe.send_bytes(data)
        if not self._pipe.poll(seconds):
            raise TooSlow
        return self._pipe.recv_bytes()

    def kill(self) -> None:
        """Ends the process; whoever waits for its answer gets an EOFError."""
        self._process.kill()
        self._process.wait()


def _with_root(paths: str) -> str:
    return os.pathsep.join([str(_ROOT), *filter(None, [paths])])


def _ending() -> Problem:
    return Problem(503, "the service is ending", {"retry-after": "60"})
