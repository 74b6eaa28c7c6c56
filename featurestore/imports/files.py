"""The files of an import: found by patterns, digested, and the reader that knows them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from featurestore.errors import DataError, name_some
from featurestore.imports.base import Reader
from featurestore.imports.config import EmbeddingConfig

SUFFIXES = (".h5", ".hdf5", ".npz", ".pt", ".pth", ".csv", ".tsv", ".parquet", ".pq")
"""Endings of files that a folder is searched for; a file that is named may be called anything."""

_CONVERSION = (
    "is a PyTorch file, which this command cannot read; convert it: "
    "`numpy.savez('features.npz', **{id: tensor.numpy()})`"
)


@dataclasses.dataclass(frozen=True)
class FeatureFile:
    """One file.

    Attributes:
        path: Where it is.
        shown: The same for people: relative to the data root where it lies there.
        sha256: Digest of its bytes; empty where it was not read yet.
    """

    path: Path
    shown: str
    sha256: str


def find_files(config: EmbeddingConfig, data_root: Path) -> list[FeatureFile]:
    """Finds and digests the files of an import, sorted by path.

    Raises:
        DataError: A pattern finds no file, or a file cannot be read.
    """
    return [_digested(file) for file in look_for_files(config, data_root)]


def look_for_files(config: EmbeddingConfig, data_root: Path) -> list[FeatureFile]:
    """Finds the files of an import, sorted by path; they are not read and have no digest.

    Raises:
        DataError: A pattern finds no file.
    """
    found: set[Path] = set()
    for pattern in config.paths:
        place = data_root / pattern
        own = [place] if place.exists() else list(_matching(place))
        inside = [f for p in own if p.is_dir() for f in p.rglob("*") if f.suffix in SUFFIXES]
        files = [p for p in (*own, *inside) if p.is_file() and not p.name.startswith(".")]
        if not files:
            raise DataError(
                f"embeddings {config.name}: no file at {pattern!r} under the data root {data_root}"
            )
        found.update(files)
    return [FeatureFile(path, _shown(path, data_root), "") for path in sorted(found)]


def find_reader(
    config: EmbeddingConfig, files: Sequence[FeatureFile], readers: Sequence[Reader]
) -> Reader:
    """The reader of an import's files.

    Files that no reader recognises are left to the one that knows the others: it says what is wrong
    with them.

    Raises:
        DataError: The files are of several formats, of none, or of one that cannot be read here.
    """
    by_name = {reader.name: reader for reader in readers}
    if config.format != "auto":
        if config.format not in by_name:
            raise DataError(f"embeddings {config.name}: {files[0].shown} {_CONVERSION}")
        return by_name[config.format]
    seen: dict[str, list[str]] = {}
    for file in files:
        name = next((r.name for r in readers if r.recognises(file.path)), "")
        seen.setdefault(name, []).append(file.shown)
    unknown = seen.pop("", [])
    if len(seen) > 1:
        kinds = "; ".join(f"{n}: {len(own)}, first {own[0]}" for n, own in sorted(seen.items()))
        raise DataError(
            f"embeddings {config.name}: files of {len(seen)} formats ({kinds}); name one format's "
            "files as `path`, or the format"
        )
    if not seen:
        if Path(unknown[0]).suffix in (".pt", ".pth") and "pt" not in by_name:
            raise DataError(f"embeddings {config.name}: {unknown[0]} {_CONVERSION}")
        raise DataError(
            f"embeddings {config.name}: no file of {len(unknown):,} is whole and of a "
            f"known format ({name_some(unknown, 3)}); known: {', '.join(by_name)}"
        )
    return by_name[next(iter(seen))]


def _matching(pattern: Path) -> Iterator[Path]:
    """Files that a shell-style pattern matches; `**` goes into folders."""
    parts = pattern.parts
    first = next((k for k, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    if first < len(parts):
        yield from Path(*parts[:first]).glob(str(Path(*parts[first:])))


def _shown(path: Path, data_root: Path) -> str:
    return path.relative_to(data_root).as_posix() if path.is_relative_to(data_root) else str(path)


def _digested(file: FeatureFile) -> FeatureFile:
    try:
        with file.path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {file.path}: {error.strerror or error}") from None
    return dataclasses.replace(file, sha256=digest)
