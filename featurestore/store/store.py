"""The feature store: embeddings by content, in immutable shards that any process may add.

```
root/encoders/<identity>/encoder.json     what made the embeddings
root/encoders/<identity>/shards/<sha256>.h5
root/encoders/<identity>/bags/<sha256>.npy    tiles, where bags are kept
root/features.h5                          virtual datasets over all shards, for other tools
root/quarantine.csv                       images that could not be embedded, with the reason
```

Rows are found by SHA-256 of the image file and encoder identity, never by name. Writers do not
wait for each other: a shard appears whole under a name of its own. Two writers may embed the same
image; the first row in order of shard names is read. A shard is trusted only after all its bytes
were compared with its name; one that is damaged counts as absent, is named in a log warning, and
its images are embedded again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import StoreError, name_some
from featurestore.store.bags import KEPT, BagFiles
from featurestore.store.layout import described, encoder_folders, shard_paths
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.quarantine import Quarantine, QuarantineRow
from featurestore.store.shards import DamagedShard, ShardRows, read_shard
from featurestore.store.virtual import VirtualGroup, VirtualShard, group_names, write_virtual
from featurestore.store.writer import SHARD_ROWS, ShardWriter, StorageType

__all__ = ["FeatureStore", "QuarantineRow", "ShardIndex", "ShardWriter", "StorageType"]

_State = tuple[str, int, int, int, int]  # name, inode, size, times of change
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """What a verified shard holds, in file order.

    Attributes:
        keys: SHA-256 and view of each row.
        image_ids: Id under which each row was embedded.
    """

    keys: tuple[tuple[str, int], ...]
    image_ids: tuple[str, ...]


class FeatureStore:
    """Embeddings on disk.

    Attributes:
        root: Folder of the store; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._quarantine = Quarantine(self.root / "quarantine.csv")
        self._verified: dict[_State, ShardIndex] = {}
        self._warned: set[Path] = set()

    def writer(
        self,
        identity: EncoderIdentity,
        shard_rows: int = SHARD_ROWS,
        dtype: StorageType = "float32",
    ) -> ShardWriter:
        """Returns a writer for one encoder, to be used in a `with` block.

        Raises:
            StoreError: The folder holds another encoder's description, or shards of `shard_rows`
                would be too large.
        """
        return ShardWriter(self.folder(identity), identity, shard_rows, dtype)

    def present(self, identity: EncoderIdentity, view: int = 0) -> set[str]:
        """SHA-256 of every image whose embedding is committed and verified.

        Every byte of every shard is compared with the shard's name, once while its size and times
        of change stay the same.
        """
        return {
            sha256
            for _, index in self.shards(identity)
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

        Every shard is verified against its name as it is read, whether or not it was verified
        before; a damaged one counts as absent.

        Returns:
            Array (n, D) of float32.

        Raises:
            StoreError: An embedding is missing, or was only in a damaged shard.
        """
        wanted: dict[tuple[str, int], list[int]] = {}
        for position, sha256 in enumerate(sha256s):
            wanted.setdefault((sha256, view), []).append(position)
        result = np.empty((len(sha256s), identity.dimension), dtype=np.float32)
        damaged = []
        for path in self.shard_paths(identity):
            if not wanted:
                break
            known = self._remembered(path)
            if known is not None and wanted.keys().isdisjoint(known.keys):
                continue
            try:
                index, rows = self._load(path, identity)
            except DamagedShard as error:
                damaged.append(f"{path.name[:12]} ({error})")
                continue
            places = [(row, at) for row, key in enumerate(index.keys) for at in wanted.pop(key, ())]
            if places:
                sources, targets = np.array(places).T
                result[targets] = rows.embedding[sources]
        if wanted:
            raise self._lacking(identity, [s for s, _ in wanted], len(sha256s), damaged)
        return result

    def encoders(self) -> list[EncoderIdentity]:
        """All encoders of the store, sorted by backbone and digest.

        Raises:
            StoreError: A description was edited or is damaged.
        """
        paths = (folder / "encoder.json" for folder in encoder_folders(self.root))
        found = [described(path) for path in paths if path.exists()]
        return sorted(found, key=lambda e: (e.backbone, e.digest))

    def quarantine(self, rows: Iterable[QuarantineRow]) -> None:
        """Remembers images that could not be embedded; the last reason of an image counts."""
        self._quarantine.add(rows)

    def clear_quarantine(self, sha256s: Iterable[str]) -> None:
        """Forgets the quarantine of images that have been embedded after all."""
        self._quarantine.remove(sha256s)

    def quarantined(self) -> pd.DataFrame:
        """Table `sha256, image_id, path, reason` of images that could not be embedded."""
        return self._quarantine.table()

    def refresh_virtual(self) -> Path:
        """Writes `features.h5`, one HDF5 file over all verified shards, for other tools.

        Groups are named as encoders are in a configuration (`group_names`). Shards
        that are committed later are in it after the next refresh.
        """
        encoders = self.encoders()
        groups = [
            VirtualGroup(name, identity, tuple(self._virtual_shards(identity)))
            for name, identity in zip(group_names(encoders), encoders, strict=True)
        ]
        return write_virtual(self.root / "features.h5", groups)

    def folder(self, identity: EncoderIdentity) -> Path:
        """Folder of one encoder."""
        return self.root / "encoders" / identity.digest

    def bags(self, identity: EncoderIdentity) -> BagFiles | None:
        """The kept bags of an encoder's tiles; None where tiles were pooled, or never were."""
        if not identity.is_imported or identity.pooling != KEPT:
            return None
        return BagFiles(self.folder(identity), identity.dimension)

    def shard_paths(self, identity: EncoderIdentity) -> list[Path]:
        """Committed shards of one encoder, sorted by name; temporary files are not among them.

        Raises:
            StoreError: A folder of the store is a symbolic link.
        """
        return shard_paths(self.folder(identity))

    def shards(self, identity: EncoderIdentity) -> Iterator[tuple[Path, ShardIndex]]:
        """Verified shards of one encoder, in order of their names."""
        for path in self.shard_paths(identity):
            index = self._index(path, identity)
            if index is not None:
                yield path, index

    def distinct_rows(self, identity: EncoderIdentity) -> Iterator[tuple[Path, int, list[int]]]:
        """Path and number of rows of each verified shard, and which of its rows are read.

        A row is not read if an earlier one has the same image and view.
        """
        seen: set[tuple[str, int]] = set()
        for path, index in self.shards(identity):
            first = {key: row for row, key in reversed(list(enumerate(index.keys)))}
            yield path, len(index.keys), sorted(r for key, r in first.items() if key not in seen)
            seen.update(first)

    def damaged(self, identity: EncoderIdentity) -> list[Path]:
        """Shards of one encoder that fail verification."""
        return [p for p in self.shard_paths(identity) if self._index(p, identity) is None]

    def _virtual_shards(self, identity: EncoderIdentity) -> Iterator[VirtualShard]:
        for path, rows, keep in self.distinct_rows(identity):
            yield VirtualShard(path.relative_to(self.root), rows, tuple(keep))

    def _index(self, path: Path, identity: EncoderIdentity) -> ShardIndex | None:
        """Index of a shard, or None if it is damaged; verified once while the file is unchanged."""
        known = self._remembered(path)
        if known is not None:
            return known
        try:
            return self._load(path, identity)[0]
        except DamagedShard:
            return None

    def _remembered(self, path: Path) -> ShardIndex | None:
        key = _state(path)
        return None if key is None else self._verified.get(key)

    def _load(self, path: Path, identity: EncoderIdentity) -> tuple[ShardIndex, ShardRows]:
        """Reads, verifies and remembers a shard; a damaged one is named in the log, once."""
        before = _state(path)
        try:
            rows = read_shard(path, identity.digest)
            if rows.embedding.shape[1] != identity.dimension:
                raise DamagedShard(f"embeddings have length {rows.embedding.shape[1]}")
        except DamagedShard as error:
            if path not in self._warned:
                self._warned.add(path)
                _log.warning("%s is damaged (%s): run `melafuse store verify`", path, error)
            raise
        views = (int(v) for v in rows.view)
        keys = tuple(zip(rows.digests(), views, strict=True))
        index = ShardIndex(keys, tuple(str(i) for i in rows.image_id))
        if before is not None:
            self._verified[before] = index
        return index, rows

    def _lacking(
        self, identity: EncoderIdentity, sha256s: Sequence[str], asked: int, damaged: Sequence[str]
    ) -> StoreError:
        hint = (
            f"; {len(damaged)} damaged shards, first {damaged[0]}: run `melafuse store verify`"
            if damaged
            else "; run `melafuse extract`"
        )
        return StoreError(
            f"{self.root}: encoder {identity.short} ({identity.backbone}) lacks {len(sha256s)} of "
            f"{asked} images: {name_some([s[:12] for s in sha256s])}{hint}"
        )


def _state(path: Path) -> _State | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
