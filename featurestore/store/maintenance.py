"""Looking into and looking after a store: info, verify, explain, pack, gc.

Nothing here prints; every function returns a record that the command line shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from featurestore.atomic import TEMPORARY
from featurestore.errors import StoreError
from featurestore.locks import holding, if_free
from featurestore.progress import SILENT, Progress
from featurestore.sealed import DamagedFile, read_sealed
from featurestore.store.bags import bag_paths, digest_of
from featurestore.store.explaining import EncoderExplanation, Explanation, explain
from featurestore.store.layout import (
    IMPORT_RECORD,
    chosen,
    described,
    encoder_folders,
    require_store,
    shard_paths,
)
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.packing import pack
from featurestore.store.salvage import UNREADABLE, salvage
from featurestore.store.shards import DamagedShard, read_checked_shard, read_shard
from featurestore.store.store import FeatureStore
from featurestore.store.writer import WRITERS_LOCK

__all__ = [
    "NO_ROW",
    "UNREADABLE",
    "DamagedRows",
    "EncoderExplanation",
    "EncoderInfo",
    "Explanation",
    "Removed",
    "StoreInfo",
    "VerifyReport",
    "explain",
    "gc",
    "info",
    "pack",
    "verify",
]

VIRTUAL_FILE = "features.h5"
NO_ROW = ("none that is known by its checksum",)
_NOT_KEPT = ("one bag of tiles; the next import of its file writes it again",)
_REMOVED = ".removed"  # suffix of an encoder's folder that is being removed


@dataclasses.dataclass(frozen=True)
class EncoderInfo:
    """What a store holds of one encoder.

    Attributes:
        identity: The encoder.
        images: Images whose own embedding (view 0) is there.
        rows: Rows of all views; of rows written twice, one.
        shards: Number of shards, damaged ones included.
        damaged: Number of damaged shards.
        bytes: Size of the shards, and of the bags of tiles where they are kept.
    """

    identity: EncoderIdentity
    images: int
    rows: int
    shards: int
    damaged: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class StoreInfo:
    """What a store holds."""

    encoders: tuple[EncoderInfo, ...]
    quarantined: int
    temporary_files: int


@dataclasses.dataclass(frozen=True)
class DamagedRows:
    """One damaged shard or encoder description.

    Attributes:
        path: The file.
        reason: What is wrong with it.
        rows: Ids of its damaged rows, or one text that says why they cannot be told. The rows of
            a damaged shard that match their checksums are not read either.
    """

    path: Path
    reason: str
    rows: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """Outcome of `verify`.

    Attributes:
        shards: Number of shards that were checked.
        rows: Number of rows of the shards that are right.
        damaged: What is damaged.
        set_aside: Whether the damaged files were moved out of the way.
    """

    shards: int
    rows: int
    damaged: tuple[DamagedRows, ...]
    set_aside: bool


@dataclasses.dataclass(frozen=True)
class Removed:
    """What `gc` removed, or would remove.

    Attributes:
        paths: Files and folders.
        bytes: Their size.
        busy: Encoders that were to go, but a process is writing to them.
    """

    paths: tuple[Path, ...]
    bytes: int
    busy: tuple[Path, ...] = ()


def info(store: FeatureStore) -> StoreInfo:
    """Counts what the store holds.

    Raises:
        StoreError: There is no store, or an encoder's description is damaged.
    """
    require_store(store.root)
    encoders = []
    for identity in store.encoders():
        paths = store.shard_paths(identity)
        encoders.append(
            EncoderInfo(
                identity,
                images=len(store.present(identity)),
                rows=sum(len(keep) for _, _, keep in store.distinct_rows(identity)),
                shards=len(paths),
                damaged=len(store.damaged(identity)),
                bytes=sum(_size(p) for p in (*paths, *bag_paths(store.folder(identity)))),
            )
        )
    return StoreInfo(tuple(encoders), len(store.quarantined()), len(_temporary_files(store.root)))


def verify(
    store: FeatureStore,
    timeout_s: float = 60.0,
    repair: bool = False,
    progress: Progress = SILENT,
) -> VerifyReport:
    """Checks every byte of shards, descriptions, records and `features.h5`, and every checksum.

    A shard is parsed only after its bytes were compared with its name. A damaged one is opened to
    say which rows are lost, in a child process with a time limit: a corrupt HDF5 file can hang its
    reader.

    Args:
        store: The store.
        timeout_s: Seconds that parsing one damaged shard may take.
        repair: Move damaged files to a folder `damaged` beside the shards; the next extraction
            embeds their images again.
        progress: Told of every shard.

    Raises:
        StoreError: There is no store, or damaged files cannot be moved.
    """
    require_store(store.root)
    folders = encoder_folders(store.root)
    damaged = [found for folder in folders for found in _damaged_description(folder)]
    damaged += [found for folder in folders for found in _damaged_file(folder / IMPORT_RECORD)]
    damaged += _damaged_file(store.root / VIRTUAL_FILE)
    paths = [path for folder in folders for path in shard_paths(folder)]
    bags = [path for folder in folders for path in bag_paths(folder)]
    rows = 0
    progress.start("verify", len(paths) + len(bags))
    for path in paths:
        try:
            rows += len(read_checked_shard(path, path.parent.parent.name))
        except DamagedShard as error:
            damaged.append(DamagedRows(path, str(error), _lost_rows(path, timeout_s)))
        progress.advance()
    for path in bags:
        if digest_of(path) != path.stem:
            damaged.append(DamagedRows(path, "its SHA-256 is not its name", _NOT_KEPT))
        progress.advance()
    progress.finish()
    if repair and damaged:
        for found in damaged:
            if found.path.name != VIRTUAL_FILE:  # that one is only written anew
                _set_aside(found.path)
        store.refresh_virtual()
    return VerifyReport(len(paths), rows, tuple(damaged), repair)


def gc(store: FeatureStore, keep: Collection[str] | None = None, dry_run: bool = False) -> Removed:
    """Removes what no kept encoder needs.

    That is: encoders not in `keep`, shards all of whose rows are in other shards too, bags of tiles
    without a row, what was set aside as damaged, and temporary files of processes that no longer
    run. What a live process writes is left alone.

    Args:
        store: The store.
        keep: Digests, or their first digits, of encoders to keep; None keeps all.
        dry_run: Only say what would be removed.

    Raises:
        StoreError: There is no store, a digest in `keep` names no encoder, or something cannot be
            removed.
    """
    require_store(store.root)
    store.encoders()  # a store with a damaged description is repaired first
    folders = encoder_folders(store.root)
    kept = set(chosen((f.name for f in folders), keep))
    try:
        with holding(store.root / ".gc.lock"), contextlib.ExitStack() as locks:
            doomed = sorted((store.root / "encoders").glob(f".*{_REMOVED}"))
            busy = []
            for folder in folders:
                if folder.name in kept:
                    doomed += _dispensable(store, folder)
                    doomed += _bags_of_nobody(store, folder, locks)
                elif locks.enter_context(if_free(folder / WRITERS_LOCK)):
                    doomed.append(folder)
                else:
                    busy.append(folder)
            outside = (p for p in _temporary_files(store.root) if not _is_under(p, doomed))
            doomed += [p for p in outside if locks.enter_context(if_free(p))]
            removed = Removed(tuple(doomed), sum(_size(p) for p in doomed), tuple(busy))
            if doomed and not dry_run:
                # While shards go, no virtual file is better than one that points to nothing.
                (store.root / VIRTUAL_FILE).unlink(missing_ok=True)
                for path in doomed:
                    _remove(path)
                store.refresh_virtual()
    except OSError as error:
        raise StoreError(f"{store.root}: cannot collect: {error}") from None
    return removed


def _damaged_description(folder: Path) -> Iterator[DamagedRows]:
    path = folder / "encoder.json"
    try:
        if path.exists():
            described(path)
        elif shard_paths(folder):
            yield DamagedRows(path, "missing; the next extraction writes it again", NO_ROW)
    except StoreError as error:
        yield DamagedRows(path, str(error).removeprefix(f"{path}: "), NO_ROW)


def _damaged_file(path: Path) -> Iterator[DamagedRows]:
    try:
        read_sealed(path, "--repair takes it away, and what makes it writes it anew")
    except FileNotFoundError:
        return  # nothing needs it: the next extraction or import writes it
    except (DamagedFile, OSError) as error:
        yield DamagedRows(path, str(error).removeprefix(f"{path}: "), NO_ROW)


def _lost_rows(path: Path, timeout_s: float) -> tuple[str, ...]:
    found = salvage(path, timeout_s)
    if found.problem:
        return (found.problem,)
    return tuple(row.image_id for row in found.rows if not row.intact) or NO_ROW


def _set_aside(path: Path) -> None:
    if not (path.exists() or path.is_symlink()):
        return  # a description that was missing, not damaged
    beside_shards = path.name in ("encoder.json", IMPORT_RECORD)
    encoder = path.parent if beside_shards else path.parent.parent
    aside = encoder / "damaged" / path.name
    try:
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
        with contextlib.suppress(DamagedShard):
            read_shard(aside, encoder.name)
            aside.replace(path)  # a writer had put a sound one in its place in the meantime
    except OSError as error:
        raise StoreError(f"cannot set {path} aside: {error.strerror or error}") from None


def _dispensable(store: FeatureStore, folder: Path) -> Iterator[Path]:
    if (folder / "damaged").exists():
        yield folder / "damaged"
    if (folder / "encoder.json").exists():
        identity = described(folder / "encoder.json")
        yield from (path for path, _, keep in store.distinct_rows(identity) if not keep)


def _bags_of_nobody(
    store: FeatureStore, folder: Path, locks: contextlib.ExitStack
) -> Iterator[Path]:
    """Bags whose row was never committed, because their import was killed."""
    bags = bag_paths(folder)
    if not bags or not (folder / "encoder.json").exists():
        return
    if locks.enter_context(if_free(folder / WRITERS_LOCK)):  # else a row may be on its way
        named = store.present(described(folder / "encoder.json"))
        yield from (path for path in bags if path.stem not in named)


def _temporary_files(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob(".*.part") if TEMPORARY.fullmatch(p.name))


def _is_under(path: Path, folders: Collection[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def _size(path: Path) -> int:
    files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    total = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # committed or removed by another process
            status = file.stat(follow_symlinks=False)
            total += 0 if file.is_dir() else status.st_size
    return total


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if path.parent.name == "encoders" and not path.name.endswith(_REMOVED):
        # Gone at once for everybody; what a kill leaves behind, the next collection removes.
        path = path.rename(path.with_name(f".{uuid.uuid4().hex}{_REMOVED}"))
    shutil.rmtree(path)
