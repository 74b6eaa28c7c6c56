"""Advisory locks on files. They die with their process, so a kill leaves nothing that blocks.

File systems without such locks (some cluster mounts) are written to without them; there `if_free`
never says that a file is free, so nothing is collected that a process may still need.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP}


@contextlib.contextmanager
def holding(path: Path, shared: bool = False) -> Iterator[None]:
    """Holds the lock on a file, which is made where it is absent; waits for other holders.

    Args:
        path: The file; its folder must exist.
        shared: Any number of processes may hold the lock at the same time.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = _acquire(path, shared)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, shared: bool) -> int:
    """Takes the lock and returns the open descriptor that holds it until it is closed."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if _is_still_at(descriptor, path):  # else it was collected while this waited
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def unless_held(path: Path) -> Iterator[bool]:
    """Takes the lock without waiting, and yields False where another process holds it.

    Where the file system has no locks nobody can be told from anybody else, and it yields True.

    Raises:
        OSError: The file cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            if _is_still_at(descriptor, path):  # else its holder removed it at this moment
                yield True
                return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Yields whether no other process holds the lock, and then holds it inside the block."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield False
        return
    try:
        try:
            free = _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _flock(descriptor: int, mode: int) -> bool:
    """Returns False where the file system has no locks."""
    try:
        fcntl.flock(descriptor, mode)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return False
        raise
    return True


def _is_still_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
