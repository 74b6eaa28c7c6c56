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

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.errors import StoreError, name_some
from featurestore.store.bags import KEPT, BagFiles
from featurestore.store.index import (
    ReadShard,
    ShardIndex,
    State,
    decode_index,
    decode_values,
    read_ahead,
    state_of,
)
from featurestore.store.layout import described, encoder_folders, shard_paths
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.quarantine import Quarantine, QuarantineRow
from featurestore.store.shards import DamagedShard, decode_columns
from featurestore.store.virtual import VirtualGroup, VirtualShard, group_names, write_virtual
from featurestore.store.wanted import Wanted
from featurestore.store.writer import SHARD_ROWS, ShardWriter, StorageType

__all__ = ["FeatureStore", "QuarantineRow", "ShardIndex", "ShardWriter", "StorageType"]

_log = logging.getLogger(__name__)


class FeatureStore:
    """Embeddings on disk.

    Attributes:
        root: Folder of the store; it is made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._quarantine = Quarantine(self.root / "quarantine.csv")
        self._verified: dict[State, ShardIndex] = {}
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
        found: set[str] = set()
        for _, index in self.shards(identity):
            found.update(d.decode("ascii", "replace") for d in index.digests_of(view))
        return found

    def missing(
        self, identity: EncoderIdentity, sha256s: Iterable[str], view: int = 0
    ) -> list[str]:
        """Those of `sha256s` that are not present, in their order, each once."""
        present: set[bytes] = set()
        for _, index in self.shards(identity):
            present.update(index.digests_of(view))
        return [s for s in dict.fromkeys(sha256s) if s.encode() not in present]

    def storage_type(self, identity: EncoderIdentity) -> np.dtype:
        """The smallest type that holds all embeddings of an encoder as they are stored."""
        types = {index.dtype for _, index in self.shards(identity)}
        return np.result_type(*types) if types else np.dtype(np.float32)

    def read(
        self,
        identity: EncoderIdentity,
        sha256s: Sequence[str],
        view: int = 0,
        into: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Reads embeddings in the order asked.

        Every shard is verified against its name as it is read, whether or not it was verified
        before; a damaged one counts as absent.

        Args:
            identity: The encoder.
            sha256s: Digests of the images; n of them.
            view: Number of the view.
            into: A matrix of floats, and the row of it for each image; ints (n,). By default a new
                matrix, row after row.

        Returns:
            The matrix; by default (n, D) of float32.

        Raises:
            StoreError: An embedding is missing, or was only in a damaged shard.
        """
        if into is None:
            fresh = np.empty((len(sha256s), identity.dimension), dtype=np.float32)
            into = fresh, np.arange(len(sha256s))
        target, rows = into
        wanted = Wanted(sha256s, view)
        damaged = []
        for read in read_ahead(self._holding(identity, wanted)):
            try:
                index, values = self._values(read, identity)
            except DamagedShard as error:
                damaged.append(f"{read.path.name[:12]} ({error})")
                continue
            sources, places = wanted.met(index)
            if len(sources):
                target[rows[places]] = values if len(sources) == len(values) else values[sources]
            if not wanted.left:
                break
        if wanted.left:
            raise self._lacking(identity, wanted.unmet(), len(sha256s), damaged)
        for again, first in wanted.repeated:
            target[rows[again]] = target[rows[first]]
        return target

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
        paths = self.shard_paths(identity)
        known = [self._remembered(path) for path in paths]
        fresh = read_ahead(p for p, index in zip(paths, known, strict=True) if index is None)
        for path, index in zip(paths, known, strict=True):
            found = self._index(next(fresh), identity) if index is None else index
            if found is not None:
                yield path, found

    def named_rows(self, identity: EncoderIdentity) -> Iterator[tuple[Path, str, int, str]]:
        """Shard, digest, view and image id of each verified row, in order; all is read anew."""
        for read in read_ahead(self.shard_paths(identity)):
            try:
                with self._naming_damage(read):
                    names = "sha256", "view", "image_id"
                    found = decode_columns(_bytes(read), identity.digest, names).read
            except DamagedShard:
                continue
            for digest, view, image_id in zip(*map(found.get, names), strict=True):
                yield read.path, digest.decode("ascii", "replace"), int(view), str(image_id)

    def distinct_rows(self, identity: EncoderIdentity) -> Iterator[tuple[Path, int, list[int]]]:
        """Path and number of rows of each verified shard, and which of its rows are read.

        A row is not read if an earlier one has the same image and view.
        """
        seen: set[tuple[str, int]] = set()
        for path, index in self.shards(identity):
            first = {key: row for row, key in reversed(list(enumerate(index.keys)))}
            yield path, len(index), sorted(r for key, r in first.items() if key not in seen)
            seen.update(first)

    def damaged(self, identity: EncoderIdentity) -> list[Path]:
        """Shards of one encoder that fail verification."""
        sound = {path for path, _ in self.shards(identity)}
        return [path for path in self.shard_paths(identity) if path not in sound]

    def _virtual_shards(self, identity: EncoderIdentity) -> Iterator[VirtualShard]:
        for path, rows, keep in self.distinct_rows(identity):
            yield VirtualShard(path.relative_to(self.root), rows, tuple(keep))

    def _holding(self, identity: EncoderIdentity, wanted: Wanted) -> Iterator[Path]:
        """Shards that may have something that is wanted, as long as anything is."""
        for path in self.shard_paths(identity):
            known = self._remembered(path)
            if known is None or wanted.meets(known):
                yield path

    def _remembered(self, path: Path) -> ShardIndex | None:
        key = state_of(path)
        return None if key is None else self._verified.get(key)

    def _index(self, read: ReadShard, identity: EncoderIdentity) -> ShardIndex | None:
        """Index of a shard, or None if it is damaged."""
        try:
            with self._naming_damage(read):
                index = decode_index(_bytes(read), identity.digest, identity.dimension)
        except DamagedShard:
            return None
        self._remember(read, index)
        return index

    def _values(self, read: ReadShard, identity: EncoderIdentity) -> tuple[ShardIndex, np.ndarray]:
        """Index and embeddings of a shard."""
        with self._naming_damage(read):
            index, values = decode_values(_bytes(read), identity.digest, identity.dimension)
        self._remember(read, index)
        return index, values

    def _remember(self, read: ReadShard, index: ShardIndex) -> None:
        if read.state is not None:
            self._verified[read.state] = index

    @contextlib.contextmanager
    def _naming_damage(self, read: ReadShard) -> Iterator[None]:
        """Names a shard that turns out damaged in the log, once."""
        try:
            yield
        except DamagedShard as error:
            if read.path not in self._warned:
                self._warned.add(read.path)
                _log.warning("%s is damaged (%s): run `melafuse store verify`", read.path, error)
            raise

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


def _bytes(read: ReadShard) -> bytes:
    if isinstance(read.data, DamagedShard):
        raise read.data
    return read.data
