"""Batches of the joint network: pictures and columns of rows, on a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from extractor.finetune import Augmenter
from extractor.finetune.batches import Pass, Pictures
from extractor.finetune.feed import feed_of
from extractor.finetune.shelf import shelf_of, take
from extractor.precision import layout_on
from extractor.transfers import transfers_of
from extractor.workers import Workers
from fusion.models.training import HeadData

_BLANK = 32  # side of what stands for pictures where there is none


@dataclasses.dataclass(frozen=True)
class JointData:
    """Rows for the joint network.

    Attributes:
        squares: Per backbone the pictures of the rows that have one, uint8 (side, side, 3); those
            to learn from are larger than what the backbone takes, by what augmentation cuts off.
        rows: Those rows; int64 (m,).
        columns: Encoded patient columns, presence, outcome and patients of all n rows; the inputs
            of image modalities in it are not used.
    """

    squares: Mapping[str, Sequence[np.ndarray]]
    rows: np.ndarray
    columns: HeadData

    def __len__(self) -> int:
        return len(self.columns)


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch on the device, with this process's share of its pictures.

    Attributes:
        pictures: Per backbone the pictures of this process's share, uint8 (k, 3, side, side).
        counts: Pictures of each process.
        rows: Rows of the batch that have a picture, in order; int64 (m,).
        columns: Per modality of patient columns its values (n, width).
        present: Per modality whether a row has it; bool (n,).
        y: Outcome, float32 (n,).
        weights: Weights of the rows, with mean 1 over all; float32 (n,).
    """

    pictures: dict[str, Tensor]
    counts: list[int]
    rows: Tensor
    columns: dict[str, Tensor]
    present: dict[str, Tensor]
    y: Tensor
    weights: Tensor


@dataclasses.dataclass(frozen=True)
class _Part:
    """Rows of a batch, on the host.

    Attributes:
        rows: Rows of the data.
        pictured: Which of them have a picture.
        counts: Pictures of each process.
        own: This process's share of the pictures, with the seeds of their augmentation.
    """

    rows: np.ndarray
    pictured: np.ndarray
    counts: list[int]
    own: Pass


class Batches:
    """Rows whose columns lie on a device; pictures lie there too, or are brought (`feed_of`)."""

    def __init__(
        self,
        data: JointData,
        device: torch.device,
        workers: Workers,
        augment: Mapping[str, Augmenter] | None = None,
    ) -> None:
        """Puts the rows where the device reaches them.

        Args:
            data: The rows.
            device: Where the network is.
            workers: Processes that share out the pictures of a batch.
            augment: Per backbone what varies a picture; None leaves pictures as they are.
        """
        self._device, self._workers = device, workers
        self._transfers = transfers_of(device)
        columns = data.columns
        self._y, self._weights = (x.to(device) for x in (columns.y, columns.row_weights()))
        self._present = {name: x.to(device) for name, x in columns.present.items()}
        self._columns = {
            name: x.to(device) for name, x in columns.inputs.items() if isinstance(x, Tensor)
        }
        self._place = np.full(len(data), -1)
        self._place[data.rows] = np.arange(len(data.rows))
        self._makers = {
            name: _maker(squares, None if augment is None else augment[name], device)
            for name, squares in data.squares.items()
        }

    def of(self, parts: Sequence[np.ndarray], seeds: np.ndarray) -> Iterator[Batch]:
        """Yields a batch for each part; the device may still be computing it.

        Args:
            parts: Rows of each batch.
            seeds: Seed of the augmentation of each row of the data.
        """
        planned = [self._plan(rows, seeds) for rows in parts]
        makers = [maker([part.own for part in planned]) for maker in self._makers.values()]
        for part, *pictures in zip(planned, *makers, strict=True):
            yield self._batch(part, dict(zip(self._makers, pictures, strict=True)))

    def _plan(self, rows: np.ndarray, seeds: np.ndarray) -> _Part:
        pictured = np.flatnonzero(self._place[rows] >= 0)
        shares = np.array_split(rows[pictured], self._workers.world_size)
        own = shares[self._workers.rank]
        return _Part(
            rows, pictured, [len(share) for share in shares], Pass(self._place[own], seeds[own])
        )

    def _batch(self, part: _Part, pictures: dict[str, Tensor]) -> Batch:
        chosen = self._there(part.rows)
        return Batch(
            pictures={name: self._laid_out(x) for name, x in pictures.items()},
            counts=part.counts,
            rows=self._there(part.pictured),
            columns={name: x.index_select(0, chosen) for name, x in self._columns.items()},
            present={name: x.index_select(0, chosen) for name, x in self._present.items()},
            y=self._y.index_select(0, chosen),
            weights=self._weights.index_select(0, chosen),
        )

    def _laid_out(self, pictures: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return pictures
        return pictures.contiguous(memory_format=layout_on(self._device))

    def _there(self, numbers: np.ndarray) -> Tensor:
        host = self._transfers.host_buffer(numbers.shape, torch.int64)
        host.numpy()[:] = numbers
        return self._transfers.upload(host)


class _Varied:
    def __init__(
        self, squares: Sequence[np.ndarray], augment: Augmenter, device: torch.device
    ) -> None:
        unused = np.zeros(len(squares), dtype=np.float32)
        self._feed = feed_of(Pictures(squares, unused, unused), augment, None, device)

    def __call__(self, passes: Sequence[Pass]) -> Iterator[Tensor]:
        for pictures, _ in self._feed.passes(passes):
            yield pictures


class _AsTheyAre:
    def __init__(self, squares: Sequence[np.ndarray], device: torch.device) -> None:
        self._shelf = shelf_of(squares, device)

    def __call__(self, passes: Sequence[Pass]) -> Iterator[Tensor]:
        for part in passes:
            yield take(self._shelf, part.rows)


class _None:
    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, passes: Sequence[Pass]) -> Iterator[Tensor]:
        for _ in passes:
            shape = (0, 3, _BLANK, _BLANK)
            yield torch.empty(shape, dtype=torch.uint8, device=self._device)


def _maker(
    squares: Sequence[np.ndarray], augment: Augmenter | None, device: torch.device
) -> _Varied | _AsTheyAre | _None:
    """What makes the pictures of passes, whose rows count squares."""
    if not len(squares):
        return _None(device)
    if augment is None:
        return _AsTheyAre(squares, device)
    return _Varied(squares, augment, device)
