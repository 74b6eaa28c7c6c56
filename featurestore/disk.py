"""Failures of disks and file systems as one line: what failed, where, and what to do."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from featurestore.errors import one_line

_AGAIN = "the same command goes on from here"
_ADVICE = {
    errno.ENOSPC: f"free some space; {_AGAIN}",
    errno.EDQUOT: f"free some of your quota; {_AGAIN}",
    errno.EFBIG: f"the file may not grow any more (ulimit -f, or the file system); {_AGAIN}",
    errno.EACCES: "give yourself the permission, or name another place",
    errno.EPERM: "give yourself the permission, or name another place",
    errno.EROFS: "it can only be read; name another place",
    errno.EIO: "the disk fails: save what is on it, then name another place",
    errno.ESTALE: f"the network file system lost it; once it is back, {_AGAIN}",
    errno.ENOLCK: "the file system gives no locks now; try again, or name a place on another one",
    errno.ENOTDIR: "a file stands where a folder is needed; move it away",
    errno.EISDIR: "a folder stands where a file is needed; move it away",
    errno.EEXIST: "something of another kind stands there; move it away",
    errno.ENOTEMPTY: "a folder stands there; move it away",
    errno.ENOENT: "it is not there, or was removed meanwhile",
    errno.ENAMETOOLONG: "name a shorter place",
    errno.ELOOP: "its links run in a circle",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "there is not enough memory",
    errno.ETIMEDOUT: f"the file system did not answer; once it is back, {_AGAIN}",
}
_GRAVE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO,
    errno.ESTALE, errno.ENOLCK, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT,
}  # fmt: skip


def disk_line(error: BaseException) -> str | None:
    """What a failure of the disk says in one line; None where the error is something else.

    Libraries wrap such failures in errors of their own, so what caused an error counts too.

    Args:
        error: What ended a command.
    """
    if isinstance(error, MemoryError):
        return "there is not enough memory for this command; end other programs, or take less data"
    # An error that came while another was handled is told by its own name, unless that other one is
    # of the kind that makes everything after it fail.
    for cause in _causes(error):
        if isinstance(cause, OSError) and (cause is error or cause.errno in _GRAVE):
            return _line(cause) if cause.errno is not None else None
    return None


def reason(error: BaseException) -> str:
    """The system's words for a failure, also where HDF5 has buried its number in lines of text."""
    text = str((isinstance(error, OSError) and error.strerror) or error)
    buried = re.search(r"errno = (\d+)", text)
    return os.strerror(int(buried[1])) if buried else one_line(text)


def _line(error: OSError) -> str:
    assert error.errno is not None
    names = [
        os.fsdecode(n) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)
    ]
    where = " -> ".join(dict.fromkeys(names)) or "a file of this command"
    text = reason(error) if error.strerror else os.strerror(error.errno)
    advice = _ADVICE.get(error.errno)
    return f"{where}: {text}" + (f"; {advice}" if advice else "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
