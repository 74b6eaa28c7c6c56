"""Bags of tiles as inputs of a head: on disk until a step asks for them, within a budget.

Three eighths of the budget keep bags in memory, in their stored type, the first ones that are asked
for; the others are mapped from their files again at every step. Half is for one step: what a head
computes with, gradients included. The rest is for copies on the way. A step of a training that
would need more draws tiles from each bag, without replacement, anew at every step, by torch's
generator, which the training seeds. Scores are of all tiles, in parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from featurestore.errors import DataError
from featurestore.store import BagFiles
from fusion.arms import Modality
from fusion.features import STANDARD_LIMIT, Arrays, FeatureTable, RowBags, Standardizer
from fusion.ledger import witness


class TileReader:
    """Reads tiles, and keeps bags in memory as far as the budget goes.

    Attributes:
        step_bytes: Memory that one input of a head may take in a step.
    """

    def __init__(self, memory_bytes: int, inputs: int = 1) -> None:
        """Divides the budget.

        Args:
            memory_bytes: All of it.
            inputs: Number of inputs of the head that are bags.
        """
        self.step_bytes = memory_bytes // 2 // max(inputs, 1)
        self._free = memory_bytes * 3 // 8
        self._kept: dict[str, np.ndarray] = {}
        self._tiles: dict[str, int] = {}

    def tiles(self, files: BagFiles, key: str) -> int:
        """Number of tiles of a bag."""
        if key not in self._tiles:
            self._tiles[key] = files.tiles(key)
        return self._tiles[key]

    def parts(self, files: BagFiles, key: str) -> Iterator[np.ndarray]:
        """Yields a bag in parts; each is to be let go before the next is asked for.

        Raises:
            StoreError: The bag is missing or damaged.
        """
        kept = self._keep(files, key)
        if kept is not None:
            yield kept
            return
        for _, window in files.windows(key):
            yield window

    def rows(self, files: BagFiles, key: str, rows: np.ndarray) -> np.ndarray:
        """Copies the tiles of ascending numbers; shape (n, D).

        Raises:
            StoreError: The bag is missing or damaged.
        """
        kept = self._keep(files, key)
        return files.read(key, rows) if kept is None else kept[rows]

    def _keep(self, files: BagFiles, key: str) -> np.ndarray | None:
        if key not in self._kept:
            size = self.tiles(files, key) * files.dimension * 4
            if size > self._free:
                return None
            self._kept[key] = files.read(key)
            self._free -= self._kept[key].nbytes
        return self._kept[key]


class TileBags:
    """Bags of rows, where a tensor of rows could stand: rows are taken, tiles are read later.

    Attributes:
        reader: Reads them.
        shape: Rows, and numbers of a tile.
    """

    def __init__(
        self, reader: TileReader, bags: RowBags, standardizer: Standardizer, device: torch.device
    ) -> None:
        self.reader = reader
        self.shape = len(bags), bags.files.dimension
        self._bags = bags
        self._standardizer = standardizer
        self._device = device
        self._mean = torch.as_tensor(standardizer.mean_, dtype=torch.float32)
        self._scale = torch.as_tensor(standardizer.scale_, dtype=torch.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> TileBags:
        index = rows.cpu().numpy() if isinstance(rows, Tensor) else np.arange(len(self))[rows]
        return TileBags(self.reader, self._bags.take(index), self._standardizer, self._device)

    def to(self, device: torch.device) -> TileBags:
        """The same bags, read to a device."""
        return TileBags(self.reader, self._bags, self._standardizer, device)

    @property
    def device(self) -> torch.device:
        """Where tiles are read to."""
        return self._device

    def drawn(self, most: int) -> tuple[Tensor, Tensor]:
        """Reads at most so many tiles of each bag, drawn by torch's generator.

        Returns:
            Standardised tiles (t, D), and the row of each; int64 (t,). Rows without tiles have
            none.

        Raises:
            StoreError: A bag is missing or damaged.
        """
        found, owners = [], []
        for row, keys in enumerate(self._bags.keys):
            sizes = [self.reader.tiles(self._bags.files, key) for key in keys]
            total = sum(sizes)
            chosen = np.arange(total)
            if total > most:
                chosen = np.sort(torch.randperm(total)[:most].numpy())
            ends = np.cumsum(sizes)
            for key, end, size in zip(keys, ends, sizes, strict=True):
                own = chosen[(chosen >= end - size) & (chosen < end)] - (end - size)
                if len(own):
                    found.append(self.reader.rows(self._bags.files, key, own))
            owners.append(np.full(len(chosen), row))
        if not found:
            nothing = torch.zeros((0, self.shape[1]), device=self._device)
            return nothing, torch.zeros(0, dtype=torch.int64, device=self._device)
        tiles = self._standardised(np.concatenate(found, dtype=np.float32))
        return tiles, torch.from_numpy(np.concatenate(owners)).to(self._device)

    def parts(self, row: int, size: int) -> Iterator[Tensor]:
        """Yields all tiles of a row's bag, standardised, at most `size` at a time.

        Raises:
            StoreError: A bag is missing or damaged.
        """
        for key in self._bags.keys[row]:
            for part in self.reader.parts(self._bags.files, key):
                for first in range(0, len(part), size):
                    yield self._standardised(part[first : first + size].astype(np.float32))
                del part

    def _standardised(self, tiles: np.ndarray) -> Tensor:
        values = torch.from_numpy(tiles).sub_(self._mean).div_(self._scale)
        return values.clamp_(-STANDARD_LIMIT, STANDARD_LIMIT).to(self._device)


class BagInput:
    """The bags of one embedding, standardised over the tiles of training rows."""

    dropped: tuple[str, ...] = ()

    def __init__(self, embedding: str, standardizer: Standardizer, reader: TileReader) -> None:
        self._embedding = embedding
        self._standardizer = standardizer
        self._reader = reader

    @classmethod
    def fit(cls, modality: Modality, table: FeatureTable, reader: TileReader) -> Self:
        """Learns mean and scale of each dimension; every patient counts once.

        Raises:
            DataError: No row has tiles, or the modality has other embeddings beside the bags.
            StoreError: A bag is missing or damaged.
        """
        if len(modality.embeddings) > 1:
            raise DataError(
                f"modality {modality.name!r} has bags of tiles beside other embeddings "
                f"({', '.join(modality.embeddings)}); give each a modality of its own"
            )
        name = modality.embeddings[0]
        if not table.bags[name].present.any():
            raise DataError(
                f"no training patient has tiles of {name}; leave modality {modality.name!r} out of "
                "the arms"
            )
        witness("scaling", "fitted on", table.patient_ids)
        return cls(name, tile_scales(table.bags[name], table.row_weights(), reader), reader)

    def transform(self, table: FeatureTable) -> tuple[TileBags, np.ndarray]:
        """Returns the bags, and which rows have one; bool (n,).

        Raises:
            DataError: The table has no such bags.
        """
        if self._embedding not in table.bags:
            raise DataError(f"the bags of tiles of {self._embedding} are absent")
        bags = table.bags[self._embedding]
        cpu = torch.device("cpu")
        return TileBags(self._reader, bags, self._standardizer, cpu), bags.present

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        return {"bags": self._embedding}, self._standardizer.to_arrays()


def tile_scales(bags: RowBags, weights: np.ndarray, reader: TileReader) -> Standardizer:
    """Mean and scale of each dimension over tiles, in one pass and in double precision.

    The tiles of a row share its weight; parts are joined as Chan, Golub and LeVeque (1983) do.

    Args:
        bags: Bags of n rows.
        weights: Weight of each row; shape (n,).
        reader: Reads the tiles.
    """
    total, mean = 0.0, np.zeros(bags.files.dimension)
    squares = np.zeros_like(mean)
    for keys, weight in zip(bags.keys, weights, strict=True):
        tiles = sum(reader.tiles(bags.files, key) for key in keys)
        for key in keys:
            for part in reader.parts(bags.files, key):
                own = weight * len(part) / tiles
                wide = np.asarray(part, dtype=np.float64)
                centre = wide.mean(axis=0)
                delta = centre - mean
                squares += own * wide.var(axis=0) + delta**2 * (total * own / (total + own))
                mean += delta * (own / (total + own))
                total += own
                del part, wide
    arrays: Mapping[str, np.ndarray] = {"mean": mean, "scale": _scale(mean, squares, total)}
    return Standardizer.from_arrays(arrays)


def _scale(mean: np.ndarray, squares: np.ndarray, total: float) -> np.ndarray:
    """Standard deviations; infinite where a dimension does not vary, as in `Standardizer`."""
    spread = np.sqrt(squares / max(total, np.finfo(float).tiny))
    return np.where((spread <= 1e-12 * np.abs(mean)) | (spread == 0), np.inf, spread)
