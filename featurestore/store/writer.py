"""The writer of one encoder: collects rows and commits them shard by shard."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np

from featurestore.atomic import make_folder, write_text
from featurestore.errors import StoreError, name_some
from featurestore.locks import holding
from featurestore.store.layout import DIGEST, described, refuse_links
from featurestore.store.lineage import EncoderIdentity
from featurestore.store.shards import MAX_SHARD_BYTES, ShardRows, write_shard

StorageType = Literal["float32", "float16"]
SHARD_ROWS = 1024
WRITERS_LOCK = ".writers.lock"
_ROW_OVERHEAD = 1024  # bytes of a row beside its embedding, generously


@dataclasses.dataclass(frozen=True)
class _Row:
    sha256: str
    image_id: str
    view: int
    embedding: np.ndarray


class ShardWriter:
    """Collects rows and commits them shard by shard.

    Use it in a `with` block: leaving the block commits what was appended, also after an exception
    or Ctrl-C, and inside the block `gc` does not remove the encoder.
    """

    def __init__(
        self, folder: Path, identity: EncoderIdentity, shard_rows: int, dtype: StorageType
    ) -> None:
        """Prepares a writer; nothing is written before the `with` block is entered.

        Args:
            folder: Folder of the encoder.
            identity: What makes the embeddings.
            shard_rows: Rows after which a shard is committed.
            dtype: Type in which values are stored.

        Raises:
            StoreError: A shard of so many rows would be too large to be read back, or the folder
                holds another encoder's description.
        """
        self._dtype = np.dtype(dtype)
        most = MAX_SHARD_BYTES // (identity.dimension * self._dtype.itemsize + _ROW_OVERHEAD)
        if not 1 <= shard_rows <= most:
            raise StoreError(
                f"a shard of encoder {identity.short} holds 1 to {most:,} rows, not {shard_rows:,}"
            )
        refuse_links(folder)
        _check_description(folder, identity)
        self._folder = folder
        self._identity = identity
        self._shard_rows = shard_rows
        self._disk_refused = False
        # One list, replaced whole: an interruption at any point leaves rows whole.
        self._waiting: list[_Row] = []
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Locks the encoder against `gc` and describes it in `encoder.json`.

        Raises:
            StoreError: The folder cannot be written.
        """
        path = self._folder / "encoder.json"
        try:
            make_folder(self._folder)
            self._resources.enter_context(holding(self._folder / WRITERS_LOCK, shared=True))
            if not _check_description(self._folder, self._identity):
                write_text(path, self._identity.to_json())
        except OSError as error:
            self._resources.close()
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._resources:
            if not self._disk_refused:  # a disk that refused once is not asked again
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
            StoreError: Shapes, digests, ids or the view are wrong, a value is not finite or does
                not fit the storage type, or the disk refuses to write. Of a refused batch no row
                is added; rows of earlier calls stay.
        """
        self._check_labels(sha256s, image_ids, embeddings, view)
        stored = self._converted(image_ids, embeddings)
        rows = zip(sha256s, image_ids, stored, strict=True)
        self._waiting = self._waiting + [_Row(s, str(i), view, e) for s, i, e in rows]
        while len(self._waiting) >= self._shard_rows:
            self._commit_first(self._shard_rows)

    def commit(self) -> None:
        """Commits the rows that are still waiting.

        Raises:
            StoreError: The disk refuses to write.
        """
        while self._waiting:
            self._commit_first(self._shard_rows)

    def _commit_first(self, n: int) -> None:
        first = self._waiting[:n]
        rows = ShardRows(
            sha256=np.array([row.sha256 for row in first], dtype="S64"),
            view=np.array([row.view for row in first], dtype=np.int16),
            image_id=np.array([row.image_id for row in first], dtype=object),
            embedding=np.stack([row.embedding for row in first]),
        )
        try:
            write_shard(self._folder / "shards", self._identity.digest, rows)
        except StoreError:
            self._disk_refused = True
            raise
        # An interruption before this line commits the same bytes under the same name again.
        self._waiting = self._waiting[n:]

    def _check_labels(
        self, sha256s: Sequence[str], image_ids: Sequence[str], embeddings: np.ndarray, view: int
    ) -> None:
        expected = (len(sha256s), self._identity.dimension)
        if embeddings.shape != expected or len(image_ids) != len(sha256s):
            raise StoreError(
                f"encoder {self._identity.short}: embeddings of shape {embeddings.shape} for "
                f"{len(image_ids)} images; expected {expected}"
            )
        wrong = [s for s in sha256s if not DIGEST.fullmatch(s)]
        if wrong:
            raise StoreError(f"not a SHA-256 in lower-case hexadecimal digits: {name_some(wrong)}")
        unstorable = [ascii(i) for i in image_ids if not _is_storable(str(i))]
        if unstorable:
            raise StoreError(f"image ids that are not valid Unicode text: {name_some(unstorable)}")
        if not 0 <= view <= np.iinfo(np.int16).max:
            raise StoreError(f"view {view}: views are numbered from 0 to {np.iinfo(np.int16).max}")

    def _converted(self, image_ids: Sequence[str], embeddings: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            stored = embeddings.astype(self._dtype)
        bad = np.logical_not(np.isfinite(stored).all(axis=1))
        if bad.any():
            finite = np.isfinite(embeddings).all()
            what = f"do not fit {self._dtype}" if finite else "are not finite"
            ids = [image_id for image_id, refused in zip(image_ids, bad, strict=True) if refused]
            raise StoreError(f"embeddings {what}: {name_some(ids)}; nothing of the batch is stored")
        return np.asarray(stored)


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _check_description(folder: Path, identity: EncoderIdentity) -> bool:
    """Returns whether the folder has a description, which then must be that of `identity`."""
    path = folder / "encoder.json"
    if not path.exists():
        return False
    found = described(path)
    if found.digest != identity.digest:
        raise StoreError(f"{path}: describes encoder {found.short}, not {identity.short}")
    return True
