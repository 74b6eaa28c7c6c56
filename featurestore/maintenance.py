"""Looking into and looking after a store: info, verify, explain, pack, gc.

Nothing here prints; every function returns a record that the command line shows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import h5py
import numpy as np

from featurestore.atomic import replacing
from featurestore.errors import StoreError
from featurestore.lineage import EncoderIdentity
from featurestore.shards import TEMPORARY, DamagedShard, decode_shard, read_bytes, read_shard
from featurestore.store import FeatureStore

UNREADABLE = "not one row can be read"


@dataclasses.dataclass(frozen=True)
class EncoderInfo:
    """What a store holds of one encoder."""

    identity: EncoderIdentity
    images: int
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
    """One damaged shard.

    Attributes:
        path: The shard.
        reason: What is wrong with the file.
        rows: Ids of its damaged rows, or one text that says why they cannot be told.
    """

    path: Path
    reason: str
    rows: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """Outcome of `verify`."""

    shards: int
    rows: int
    damaged: tuple[DamagedRows, ...]
    set_aside: bool


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why an image is or is not cached: one line of words for each encoder."""

    image: str
    sha256: str
    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Removed:
    """What `gc` removed, or would remove."""

    paths: tuple[Path, ...]
    bytes: int


def info(store: FeatureStore) -> StoreInfo:
    """Counts what the store holds."""
    _require(store)
    encoders = []
    for identity in store.encoders():
        shards = store.shard_paths(identity)
        encoders.append(
            EncoderInfo(
                identity,
                images=len(store.present(identity)),
                shards=len(shards),
                damaged=len(store.damaged(identity)),
                bytes=sum(p.stat().st_size for p in shards),
            )
        )
    return StoreInfo(tuple(encoders), len(store.quarantined()), len(_temporary_files(store)))


def verify(store: FeatureStore, timeout_s: float = 60.0, repair: bool = False) -> VerifyReport:
    """Checks every byte of every shard.

    A damaged file is opened only in a child process with a time limit, because a corrupt HDF5
    file can hang its reader; it is opened to say which rows are lost.

    Args:
        store: The store.
        timeout_s: Seconds that reading one damaged shard may take.
        repair: Move damaged shards to a folder `damaged` beside the shards; the next extraction
            embeds their images again.
    """
    _require(store)
    damaged = []
    shards = rows = 0
    for identity in store.encoders():
        for path in store.shard_paths(identity):
            shards += 1
            try:
                rows += len(read_shard(path, identity.digest))
            except DamagedShard as error:
                damaged.append(DamagedRows(path, str(error), _damaged_rows(path, timeout_s)))
    if repair:
        for found in damaged:
            aside = found.path.parent.parent / "damaged"
            aside.mkdir(exist_ok=True)
            found.path.replace(aside / found.path.name)
        store.refresh_virtual()
    return VerifyReport(shards, rows, tuple(damaged), repair)


def explain(store: FeatureStore, image: str) -> Explanation:
    """Says for each encoder why an image is or is not cached.

    Args:
        store: The store.
        image: Path of a file, id of an image, or at least 8 digits of a SHA-256.

    Raises:
        StoreError: The image is no file, and the store has never met its id or digest.
    """
    _require(store)
    quarantined = store.quarantined()
    known = _known_images(store)
    path = Path(image)
    if path.is_file():
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        names = {path.name, path.stem}
    else:
        sha256 = _find_digest(image, known, quarantined[["sha256", "image_id"]].to_numpy())
        names = {image}
    lines = []
    for identity in store.encoders():
        who = f"{identity.backbone} ({identity.weights}, {identity.short})"
        here = known[identity.digest]
        if sha256 in here:
            lines.append(f"{who}: cached, as image {here[sha256]}")
        elif names & set(here.values()):
            lines.append(
                f"{who}: not cached; an image of this name is, but its content was another"
            )
        else:
            lines.append(f"{who}: not cached; it has not been embedded, or its shard is damaged")
    rows = quarantined[(quarantined["sha256"] == sha256) | quarantined["image_id"].isin(names)]
    lines += [f"quarantine: {r.image_id} ({r.path}): {r.reason}" for r in rows.itertuples()]
    return Explanation(image, sha256, tuple(lines))


def pack(store: FeatureStore, out: Path) -> Path:
    """Writes everything into one plain HDF5 file: one group an encoder, no virtual datasets.

    Raises:
        StoreError: The store has no encoder, or the file cannot be written.
    """
    _require(store)
    source = store.refresh_virtual()
    try:
        with replacing(out) as temporary:
            with h5py.File(source, "r") as virtual, h5py.File(temporary, "w") as plain:
                for name, group in virtual.items():
                    target = plain.create_group(name)
                    for key, value in group.attrs.items():
                        target.attrs[key] = value
                    for field, data in group.items():
                        target.create_dataset(field, data=data[:], dtype=data.dtype)
            _check_packed(store, temporary)
    except OSError as error:
        raise StoreError(f"cannot write {out}: {error.strerror or error}") from None
    return out


def gc(store: FeatureStore, keep: Collection[str] | None = None, dry_run: bool = False) -> Removed:
    """Removes what no kept encoder needs.

    Encoders not in `keep`, shards that were set aside as damaged, and temporary files of
    processes that no longer run. A temporary file of a live process is left alone.

    Args:
        store: The store.
        keep: Digests, or their first digits, of encoders to keep; None keeps all.
        dry_run: Only say what would be removed.

    Raises:
        StoreError: A digest in `keep` names no encoder.
    """
    _require(store)
    doomed = [p for p in _temporary_files(store) if not _writer_lives(p)]
    digests = [e.digest for e in store.encoders()]
    for prefix in keep or ():
        if not any(d.startswith(prefix) for d in digests):
            raise StoreError(f"{store.root}: no encoder {prefix!r} to keep")
    for identity in store.encoders():
        folder = store.folder(identity)
        if keep is not None and not any(identity.digest.startswith(p) for p in keep):
            doomed.append(folder)
        elif (folder / "damaged").is_dir():
            doomed.append(folder / "damaged")
    size = sum(_size(p) for p in doomed)
    if not dry_run:
        for path in doomed:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        store.refresh_virtual()
    return Removed(tuple(doomed), size)


def _require(store: FeatureStore) -> None:
    if not (store.root / "encoders").is_dir():
        raise StoreError(f"{store.root}: no feature store here (no folder `encoders`)")


def _temporary_files(store: FeatureStore) -> list[Path]:
    return sorted(p for p in store.root.rglob(".*.part") if TEMPORARY.fullmatch(p.name))


def _writer_lives(path: Path) -> bool:
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and Path(f"/proc/{match.group(1)}").exists()


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)


def _known_images(store: FeatureStore) -> dict[str, dict[str, str]]:
    """For each encoder digest: image id by sha256, from verified shards."""
    known: dict[str, dict[str, str]] = {}
    for identity in store.encoders():
        here = known.setdefault(identity.digest, {})
        for path in store.shard_paths(identity):
            try:
                rows = read_shard(path, identity.digest)
            except DamagedShard:
                continue
            for sha256, image_id in zip(rows.sha256, rows.image_id, strict=True):
                here.setdefault(bytes(sha256).decode("ascii"), str(image_id))
    return known


def _find_digest(image: str, known: dict[str, dict[str, str]], quarantined: np.ndarray) -> str:
    pairs = {(s, i) for here in known.values() for s, i in here.items()}
    pairs |= {(str(s), str(i)) for s, i in quarantined}
    is_digest = re.fullmatch(r"[0-9a-f]{8,64}", image) is not None
    found = sorted({s for s, i in pairs if i == image or (is_digest and s.startswith(image))})
    if not found:
        raise StoreError(f"{image}: no such file, and the store has never met this id or digest")
    if len(found) > 1:
        raise StoreError(f"{image}: {len(found)} images go by this; give more digits")
    return found[0]


def _damaged_rows(path: Path, timeout_s: float) -> tuple[str, ...]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "featurestore.maintenance", str(path)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=Path(__file__).resolve().parents[1],
        )
        return tuple(json.loads(done.stdout)) if done.returncode == 0 else (UNREADABLE,)
    except subprocess.TimeoutExpired:
        return (f"{UNREADABLE} within {timeout_s:g} s",)


def _report_damaged_rows(path: Path) -> list[str]:
    """Runs in the child: ids of the rows whose checksum does not match."""
    _, rows, checksums = decode_shard(read_bytes(path))
    bad = rows.checksums() != checksums
    return [str(i) for i in rows.image_id[bad]]


def _check_packed(store: FeatureStore, path: Path) -> None:
    identities = {e.digest: e for e in store.encoders()}
    with h5py.File(path, "r") as file:
        for group in file.values():
            identity = identities[group.attrs["identity"]]
            keep = group["view"][:] == 0
            digests = [bytes(s).decode("ascii") for s in group["sha256"][:][keep]]
            if not np.array_equal(group["embedding"][:][keep], store.read(identity, digests)):
                raise StoreError(f"{path}: reads back differently from the store; not written")


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_report_damaged_rows(Path(sys.argv[1]).resolve())))
    except DamagedShard:
        sys.exit(1)
