"""Files that a number depends on: written with their digest, checked whenever they are read.

The digest lies beside the file, as `NAME.sha256` in the form of `sha256sum`: the file itself is
what it would be without it, and `sha256sum --check` tells the same. It tells damage, not intent:
who can write the file can write its seal.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore import bounded
from featurestore.atomic import make_folder, replacing, write_text
from featurestore.errors import DataError, one_line
from featurestore.locks import holding

SUFFIX = ".sha256"
LOCK_FILE = ".seals.lock"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_MAX_SEAL_BYTES = 10_000


class DamagedFile(DataError):
    """A file is not as it was written."""


def seal_of(path: Path) -> Path:
    """Where the digest of a file lies."""
    return path.with_name(path.name + SUFFIX)


@contextlib.contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """Yields a temporary file; when the block ends it becomes `path`, with its seal.

    A crash leaves the old content or the new one, each with a seal that fits: while one replaces
    the other the seal names both.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    make_folder(path.parent)
    seal = seal_of(path)
    with holding(path.parent / LOCK_FILE):
        with replacing(path) as temporary:
            yield temporary
            with temporary.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            before = _seal_text(seal) if path.exists() else ""
            write_text(seal, f"{digest}  {path.name}\n{before}")
        if before:
            write_text(seal, f"{digest}  {path.name}\n")


def write_sealed_text(path: Path, text: str) -> None:
    """Writes UTF-8 text with its seal.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    with sealing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_sealed_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as Parquet with its seal.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    with sealing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_sealed(path: Path, advice: str, max_bytes: int = bounded.MAX_BYTES) -> bytes:
    """Reads a file that `sealing` wrote.

    Args:
        path: The file.
        advice: What makes it anew, for the message.
        max_bytes: A larger one is refused.

    Raises:
        DamagedFile: It is not as it was written, or has no seal.
        OSError: It cannot be read; FileNotFoundError where it is absent.
    """
    while True:
        seal = _seal_text(seal_of(path))
        data = bounded.read_bytes(path, max_bytes)
        digest = hashlib.sha256(data).hexdigest()
        if any(found[1] == digest for found in _LINE.finditer(seal)):
            return data
        if _seal_text(seal_of(path)) == seal:  # else it was replaced while this read
            break
    if not seal:
        raise DamagedFile(
            f"{path}: its digest {seal_of(path).name} is gone, or it was written by an earlier "
            f"melafuse; {advice}"
        )
    raise DamagedFile(f"{path} is damaged: it is not as it was written; {advice}")


def read_sealed_text(path: Path, advice: str, max_bytes: int = bounded.MAX_BYTES) -> str:
    """Reads UTF-8 text that `write_sealed_text` wrote; raises as `read_sealed` does."""
    return read_sealed(path, advice, max_bytes).decode("utf-8")


def read_sealed_arrow(path: Path, advice: str) -> pa.Table:
    """Reads Parquet with the metadata of its schema; raises as `read_sealed` does."""
    data = read_sealed(path, advice)
    try:
        return pq.read_table(pa.BufferReader(data), partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = one_line(error, 120)
        raise DamagedFile(f"{path} is no table ({reason}); {advice}") from None


def read_sealed_table(path: Path, advice: str) -> pd.DataFrame:
    """Reads a table that `write_sealed_table` wrote; raises as `read_sealed` does."""
    data = read_sealed(path, advice)
    try:
        return pd.read_parquet(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = one_line(error, 120)
        raise DamagedFile(f"{path} is no table ({reason}); {advice}") from None


def _seal_text(seal: Path) -> str:
    """What a seal says; nothing where there is none or it is damaged."""
    try:
        return bounded.read_text(seal, _MAX_SEAL_BYTES)
    except (FileNotFoundError, UnicodeDecodeError, IsADirectoryError):
        return ""
