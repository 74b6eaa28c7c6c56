"""The feature store: embeddings by content, in immutable shards that any process may add.

```
root/encoders/<identity>/encoder.json     what made the embeddings
root/encoders/<identity>/shards/<sha256>.h5
root/features.h5                          virtual datasets over all shards, for other tools
root/quarantine.csv                       images that could not be embedded, with the reason
```

Rows are found by SHA-256 of the image file and encoder identity, never by name. Writers need no
lock: a shard appears whole under a name of its own. Two writers may embed the same image; the
first row in order of shard names is read.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
import pandas as pd

from featurestore.atomic import write_text
from featurestore.errors import StoreError, name_some
from featurestore.lineage import EncoderIdentity
from featurestore.quarantine import Quarantine, QuarantineRow
from featurestore.shards import NAME, DamagedShard, ShardRows, read_shard, write_shard
from featurestore.virtual import VirtualGroup, write_virtual

StorageType = Literal["float32", "float16"]
SHARD_ROWS = 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """Where the rows of a verified shard are: (sha256, view) of each row, in file order."""

    keys: tuple[tuple[str, int], ...]


class FeatureStore:
    """Embeddings on disk.

    Attributes:
        root: Folder of the store; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._quarantine = Quarantine(self.root / "quarantine.csv")
        self._verified: dict[tuple[str, int, int], ShardIndex] = {}

    def writer(
        self,
        identity: EncoderIdentity,
        shard_rows: int = SHARD_ROWS,
        dtype: StorageType = "float32",
    ) -> ShardWriter:
        """Opens a writer for one encoder.

        Raises:
            StoreError: The folder holds another encoder's description, or cannot be written.
        """
        _register(self.folder(identity), identity)
        return ShardWriter(self.folder(identity) / "shards", identity, shard_rows, dtype)

    def present(self, identity: EncoderIdentity, view: int = 0) -> set[str]:
        """SHA-256 of every image whose embedding is committed and verified."""
        return {
            sha256
            for path in self.shard_paths(identity)
            if (index := self._index(path, identity)) is not None
            for sha256, of_view in index.keys
            if of_view == view
        }

    def missing(
        self, identity: EncoderIdentity, sha256s: Iterable[str], view: int = 0
    ) -> list[str]:
        """Those of `sha256s` that are not present, in their order, each once."""
        present = self.present(identity, view)
        return [s for s in dict.fromkeys(sha256s) if s not in present]

    def read(self, identity: EncoderIdentity, sha256s: Sequence[str], view: int = 0) -> np.ndarray:
        """Reads embeddings in the order asked.

        Every shard is verified against its digest as it is read; a damaged one counts as absent.

        Returns:
            Array (n, D) of float32.

        Raises:
            StoreError: An embedding is missing, or was only in a damaged shard.
        """
        wanted: dict[str, list[int]] = {}
        for position, sha256 in enumerate(sha256s):
            wanted.setdefault(sha256, []).append(position)
        result = np.empty((len(sha256s), identity.dimension), dtype=np.float32)
        damaged = []
        for path in self.shard_paths(identity):
            index = self._index(path, identity)
            if index is None:
                damaged.append(path.name[:12])
                continue
            here = [(row, key[0]) for row, key in enumerate(index.keys) if key[1] == view]
            if not wanted or wanted.keys().isdisjoint(s for _, s in here):
                continue
            try:
                rows = read_shard(path, identity.digest)
            except DamagedShard:
                damaged.append(path.name[:12])
                continue
            for row, sha256 in here:
                result[wanted.pop(sha256, [])] = rows.embedding[row]
        if wanted:
            hint = (
                f"; {len(damaged)} damaged shards, first {damaged[0]}: run `melafuse store verify`"
                if damaged
                else "; run `melafuse extract`"
            )
            raise StoreError(
                f"{self.root}: encoder {identity.short} ({identity.backbone}) lacks "
                f"{len(wanted)} of {len(sha256s)} images: "
                f"{name_some([s[:12] for s in wanted])}{hint}"
            )
        return result

    def encoders(self) -> list[EncoderIdentity]:
        """All encoders of the store, sorted by backbone and digest.

        Raises:
            StoreError: A description was edited or is damaged.
        """
        found = []
        for path in sorted(self.root.glob("encoders/*/encoder.json")):
            if _DIGEST.fullmatch(path.parent.name):
                identity = _described(path)
                if identity.digest != path.parent.name:
                    raise StoreError(f"{path}: describes encoder {identity.short}, not this folder")
                found.append(identity)
        return sorted(found, key=lambda e: (e.backbone, e.digest))

    def quarantine(self, rows: Iterable[QuarantineRow]) -> None:
        """Remembers images that could not be embedded; the last reason of an image counts."""
        self._quarantine.add(rows)

    def quarantined(self) -> pd.DataFrame:
        """Table `sha256, image_id, path, reason` of images that could not be embedded."""
        return self._quarantine.table()

    def refresh_virtual(self) -> Path:
        """Writes `features.h5`, one HDF5 file over all verified shards, for other tools.

        Groups are named by backbone; where several encoders share one, `backbone@digest`.
        """
        encoders = self.encoders()
        backbones = [e.backbone for e in encoders]
        groups = []
        for identity in encoders:
            alone = backbones.count(identity.backbone) == 1
            name = identity.backbone if alone else f"{identity.backbone}@{identity.short}"
            shards = []
            seen: set[tuple[str, int]] = set()
            for path in self.shard_paths(identity):
                index = self._index(path, identity)
                if index is not None:
                    keep = [k for k, key in enumerate(index.keys) if key not in seen]
                    seen.update(index.keys)
                    shards.append((path.relative_to(self.root), len(index.keys), keep))
            groups.append(VirtualGroup(name, identity, tuple(shards)))
        return write_virtual(self.root / "features.h5", groups)

    def folder(self, identity: EncoderIdentity) -> Path:
        """Folder of one encoder."""
        return self.root / "encoders" / identity.digest

    def shard_paths(self, identity: EncoderIdentity) -> list[Path]:
        """Committed shards of one encoder, sorted by name; temporary files are not among them."""
        folder = self.folder(identity) / "shards"
        return sorted(p for p in folder.glob("*.h5") if NAME.fullmatch(p.name))

    def damaged(self, identity: EncoderIdentity) -> list[Path]:
        """Shards of one encoder that fail verification."""
        return [p for p in self.shard_paths(identity) if self._index(p, identity) is None]

    def _index(self, path: Path, identity: EncoderIdentity) -> ShardIndex | None:
        """Index of a shard, or None if it is damaged; verified once while the file is unchanged."""
        try:
            status = path.stat()
            key = (str(path), status.st_size, status.st_mtime_ns)
            if key not in self._verified:
                rows = read_shard(path, identity.digest)
                digests = (bytes(s).decode("ascii") for s in rows.sha256)
                keys = tuple(zip(digests, (int(v) for v in rows.view), strict=True))
                self._verified[key] = ShardIndex(keys)
            return self._verified[key]
        except (DamagedShard, OSError, UnicodeDecodeError):
            return None


class ShardWriter:
    """Collects rows and commits them shard by shard.

    Leaving the `with` block commits what was appended, also after an exception or Ctrl-C.
    """

    def __init__(
        self, folder: Path, identity: EncoderIdentity, shard_rows: int, dtype: StorageType
    ) -> None:
        if shard_rows < 1:
            raise StoreError(f"a shard needs at least one row, not {shard_rows}")
        self._folder = folder
        self._identity = identity
        self._shard_rows = shard_rows
        self._dtype = np.dtype(dtype)
        self._sha256: list[str] = []
        self._image_ids: list[str] = []
        self._views: list[int] = []
        self._embeddings: list[np.ndarray] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, StoreError):  # a disk that refused once is not asked again
            self.commit()

    def append(
        self,
        sha256s: Sequence[str],
        image_ids: Sequence[str],
        embeddings: np.ndarray,
        view: int = 0,
    ) -> None:
        """Adds rows and commits every full shard.

        Args:
            sha256s: Digests of the image files. Length n.
            image_ids: Their ids. Length n.
            embeddings: Array (n, D).
            view: Number of the view.

        Raises:
            StoreError: Shapes or digests are wrong, a value is not finite or does not fit the
                storage type, or the disk refuses to write. Rows of a refused call are not added.
        """
        stored = self._checked(sha256s, image_ids, embeddings)
        self._sha256 += sha256s
        self._image_ids += image_ids
        self._views += [view] * len(sha256s)
        self._embeddings += list(stored)
        while len(self._sha256) >= self._shard_rows:
            self._commit_first(self._shard_rows)

    def commit(self) -> None:
        """Commits the rows that are still waiting."""
        if self._sha256:
            self._commit_first(len(self._sha256))

    def _commit_first(self, n: int) -> None:
        rows = ShardRows(
            sha256=np.array(self._sha256[:n], dtype="S64"),
            view=np.array(self._views[:n], dtype=np.int16),
            image_id=np.array(self._image_ids[:n], dtype=object),
            embedding=np.stack(self._embeddings[:n]),
        )
        write_shard(self._folder, self._identity.digest, rows)
        for waiting in (self._sha256, self._image_ids, self._views, self._embeddings):
            del waiting[:n]

    def _checked(
        self, sha256s: Sequence[str], image_ids: Sequence[str], embeddings: np.ndarray
    ) -> np.ndarray:
        expected = (len(sha256s), self._identity.dimension)
        if embeddings.shape != expected or len(image_ids) != len(sha256s):
            raise StoreError(
                f"encoder {self._identity.short}: embeddings of shape {embeddings.shape} for "
                f"{len(image_ids)} images; expected {expected}"
            )
        wrong = [s for s in sha256s if not _DIGEST.fullmatch(s)]
        if wrong:
            raise StoreError(f"not a SHA-256 in lower-case hexadecimal digits: {name_some(wrong)}")
        with np.errstate(over="ignore"):
            stored = embeddings.astype(self._dtype)
        bad = np.logical_not(np.isfinite(stored).all(axis=1))
        if bad.any():
            finite = np.isfinite(embeddings).all()
            what = f"do not fit {self._dtype}" if finite else "are not finite"
            ids = [image_id for image_id, refused in zip(image_ids, bad, strict=True) if refused]
            raise StoreError(f"embeddings {what}: {name_some(ids)}; nothing of the batch is stored")
        return np.asarray(stored)


def _register(folder: Path, identity: EncoderIdentity) -> None:
    path = folder / "encoder.json"
    if path.exists():
        described = _described(path)
        if described.digest != identity.digest:
            raise StoreError(f"{path}: describes encoder {described.short}, not {identity.short}")
        return
    try:
        write_text(path, identity.to_json())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from None


def _described(path: Path) -> EncoderIdentity:
    try:
        return EncoderIdentity.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from None
