"""Standardised embeddings as inputs of a head, made a batch at a time where they lie in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from fusion.features import Standardizer
from fusion.features.late import PART_ROWS, LateMatrix, Matrix, parts_of, small_parts


class LateInput:
    """Rows where a tensor of rows could stand: they are taken, and read later.

    Attributes:
        shape: Rows, and their width.
        device: Where rows are read to.
    """

    def __init__(
        self,
        matrix: LateMatrix,
        standardizer: Standardizer,
        device: torch.device | None = None,
    ) -> None:
        self.shape = matrix.shape
        self.device = device or torch.device("cpu")
        self._matrix = matrix
        self._standardizer = standardizer

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> LateInput:
        index = rows.cpu().numpy() if isinstance(rows, Tensor) else np.arange(len(self))[rows]
        return LateInput(self._matrix.take(index), self._standardizer, self.device)

    def to(self, device: torch.device) -> LateInput:
        """The same rows, read to a device."""
        return LateInput(self._matrix, self._standardizer, device)

    def read(self) -> Tensor:
        """All rows; float32 (n, width), the same numbers as of a matrix in memory."""
        values = standardised(self._matrix, self._standardizer)
        return torch.from_numpy(values).to(self.device)


X = TypeVar("X")


def read_now(inputs: Mapping[str, X | LateInput]) -> dict[str, X | Tensor]:
    """The inputs of a batch, with the rows that lie in files."""
    return {n: x.read() if isinstance(x, LateInput) else x for n, x in inputs.items()}


def batches_of(inputs: Mapping[str, object], n: int) -> list[slice]:
    """All rows at once, or so many at a time as memory should hold of what lies in files."""
    late = any(isinstance(x, LateInput) for x in inputs.values())
    return list(parts_of(n, PART_ROWS)) if late else [slice(None)]


def standardised(matrix: Matrix, standardizer: Standardizer) -> np.ndarray:
    """Standardises in double precision and rounds; zeros where there is no number. (n, D)."""
    found = np.empty(matrix.shape, dtype=np.float32)
    for rows in small_parts(matrix.shape):
        found[rows] = np.nan_to_num(standardizer.transform(matrix[rows]), nan=0.0)
    return found
