"""What is trained on: images with labels, and their pixels decoded once."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from extractor.images import Geometry
from extractor.reading import Content, Copy, Reading, read_content
from extractor.stages import in_order, worker_threads
from featurestore.errors import DataError, name_some
from featurestore.progress import SILENT, Progress

STAGE = "decode"
_READ_AHEAD = 64


@dataclasses.dataclass(frozen=True)
class TrainingSamples:
    """Images of one role, each with the outcome of its patient.

    Attributes:
        image_ids: Ids of the images; shape (n,).
        patient_ids: Patient of each; shape (n,).
        paths: File of each; a relative path starts from the data root. Shape (n,).
        sha256s: Digest of each file; shape (n,).
        labels: Outcome, float32 0 or 1; shape (n,).
    """

    image_ids: np.ndarray
    patient_ids: np.ndarray
    paths: np.ndarray
    sha256s: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        lengths = {f.name: len(getattr(self, f.name)) for f in dataclasses.fields(self)}
        if len(set(lengths.values())) > 1:
            raise DataError(f"training samples: columns differ in length: {lengths}")
        ids, counts = np.unique(self.image_ids.astype(str), return_counts=True)
        if (counts > 1).any():
            raise DataError(
                f"training samples: images stand twice: {name_some(list(ids[counts > 1]))}"
            )
        if not np.isin(self.labels, (0.0, 1.0)).all():
            raise DataError("training samples: labels are 0 and 1, and none may be missing")

    def __len__(self) -> int:
        return len(self.image_ids)

    def in_order(self) -> TrainingSamples:
        """Returns the samples sorted by image id: row order carries no meaning."""
        order = np.argsort(self.image_ids.astype(str), kind="stable")
        columns = {f.name: getattr(self, f.name)[order] for f in dataclasses.fields(self)}
        return TrainingSamples(**columns | {"labels": columns["labels"].astype(np.float32)})

    def require_both_outcomes(self, part: str) -> None:
        """Checks that there is something to tell apart.

        Raises:
            DataError: There are no images, or all have one label.
        """
        if len(np.unique(self.labels)) < 2:
            raise DataError(
                f"the {part} part has {len(self)} images, {int(self.labels.sum())} of them events; "
                f"fine-tuning needs both outcomes in both parts: use fewer folds or more patients"
            )


class ImageCache:
    """Decoded squares by content and geometry, shared by everything that trains on them.

    Squares stay in memory up to a limit; those beyond lie in a memory-mapped file without a name,
    which the system frees with the process, however it ends.
    """

    def __init__(
        self,
        data_root: Path,
        scratch: Path,
        workers: int = 2,
        ram_bytes: int = 4 << 30,
        max_megapixels: float = 200.0,
    ) -> None:
        """Starts empty.

        Args:
            data_root: Folder that relative paths start from.
            scratch: Folder of the file beyond the limit; made where needed.
            workers: Threads that decode.
            ram_bytes: Most bytes of squares kept in memory.
            max_megapixels: Pictures above are refused.
        """
        self._data_root = data_root
        self._scratch = scratch
        self._workers = workers
        self._ram_left = ram_bytes
        self._max_pixels = int(max_megapixels * 1e6)
        self._squares: dict[tuple[Geometry, str], np.ndarray] = {}

    def squares(
        self, samples: TrainingSamples, geometry: Geometry, progress: Progress = SILENT
    ) -> list[np.ndarray]:
        """Returns the square of each sample, decoding those not seen before.

        Returns:
            Read-only arrays (size, size, 3) of uint8, one a sample, shared between equal contents.

        Raises:
            DataError: A file is missing, unreadable, or not what it was when the cohort was read.
        """
        missing = {
            digest: Content(digest, (Copy(image_id, self._data_root / path),))
            for image_id, path, digest in zip(
                samples.image_ids, samples.paths, samples.sha256s, strict=True
            )
            if (geometry, digest) not in self._squares
        }
        if missing:
            self._decode(list(missing.values()), geometry, progress)
        return [self._squares[geometry, digest] for digest in samples.sha256s]

    def _decode(self, contents: Sequence[Content], geometry: Geometry, progress: Progress) -> None:
        progress.start(STAGE, len(contents))
        shape = (len(contents), geometry.size, geometry.size, 3)
        slab = self._allocate(shape)

        def read(content: Content) -> Reading:
            return read_content(content, [geometry], self._max_pixels)

        with worker_threads(self._workers) as pool:
            for row, reading in enumerate(in_order(pool, read, contents, _READ_AHEAD)):
                if reading.copy is None:
                    refused = reading.refused[0]
                    raise DataError(f"image {refused.image_id} ({refused.path}): {refused.reason}")
                slab[row] = reading.squares[geometry]
                progress.advance()
        slab.flags.writeable = False
        for content, square in zip(contents, slab, strict=True):
            self._squares[geometry, content.sha256] = square
        progress.finish()

    def _allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        needed = int(np.prod(shape))
        if needed <= self._ram_left:
            self._ram_left -= needed
            return np.empty(shape, dtype=np.uint8)
        self._scratch.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                if hasattr(os, "posix_fallocate"):  # a full disk shows here, not in a page fault
                    os.posix_fallocate(file.fileno(), 0, needed)
                return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
        except OSError as error:
            raise DataError(
                f"cannot keep {needed / 1e9:.1f} GB of decoded images in {self._scratch}: "
                f"{error.strerror}"
            ) from None
