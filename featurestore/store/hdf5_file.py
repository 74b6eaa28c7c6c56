"""An HDF5 file on a disk that may fail.

After a failed write HDF5 raises errors of any type, and writes more of them to standard error while
its objects are cleared away. So it does not hear of a failure: the first is kept, and raised when
HDF5 has let go of the file; what it writes from then on is dropped, what it reads is zeros.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py


@contextlib.contextmanager
def hdf5_file(path: Path, mode: str) -> Iterator[h5py.File]:
    """Opens an HDF5 file.

    Args:
        path: The file.
        mode: `r` or `w`.

    Raises:
        OSError: The disk failed, in the system's own words.
    """
    with path.open("rb" if mode == "r" else "wb+", buffering=0) as raw:
        disk = _Disk(raw.fileno())
        try:
            with h5py.File(disk, mode) as file:
                yield file
        except Exception:
            if disk.failure is None:
                raise
        if disk.failure is not None:
            raise disk.failure


class _Disk(io.RawIOBase):
    """The file as HDF5 sees it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self.failure: OSError | None = None

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {
            io.SEEK_SET: lambda: 0,
            io.SEEK_CUR: lambda: self._position,
            io.SEEK_END: lambda: self._tried(lambda: os.fstat(self._descriptor).st_size, 0),
        }[whence]
        self._position = start() + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        read = self._tried(lambda: self._read(view), 0)
        view[read:] = bytes(len(view) - read)
        self._position += read
        return read

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._position += self._tried(lambda: self._write(view), len(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        return self._tried(lambda: self._cut(self._position if size is None else size), 0)

    def _read(self, view: memoryview) -> int:
        done = 0
        while part := os.preadv(self._descriptor, [view[done:]], self._position + done):
            done += part
        return done

    def _write(self, view: memoryview) -> int:
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], self._position + done)
        return done

    def _cut(self, length: int) -> int:
        os.ftruncate(self._descriptor, length)
        return length

    def _tried(self, action: Callable[[], int], otherwise: int) -> int:
        """What the action gives, or another number once it or one before it has failed."""
        if self.failure is None:
            try:
                return action()
            except OSError as error:
                self.failure = error
        return otherwise
