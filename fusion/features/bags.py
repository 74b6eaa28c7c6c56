"""Which bags of tiles the rows of a feature table have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np

from featurestore.store import BagFiles


@dataclasses.dataclass(frozen=True)
class RowBags:
    """Bags of the rows of a table; their tiles stay on disk.

    Attributes:
        files: Where the tiles are.
        keys: For each row the bags that are its bag together, none where it has no tiles: a tuple
            of keys; object (n,).
    """

    files: BagFiles
    keys: np.ndarray

    @classmethod
    def of(cls, files: BagFiles, keys: Sequence[tuple[str, ...]]) -> Self:
        """The bags of rows that have these keys."""
        array = np.empty(len(keys), dtype=object)
        for row, own in enumerate(keys):  # NumPy would make a matrix of tuples of one length
            array[row] = own
        return cls(files, array)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def present(self) -> np.ndarray:
        """Whether each row has a bag; bool (n,)."""
        return np.array([bool(own) for own in self.keys], dtype=bool)

    def take(self, rows: np.ndarray) -> Self:
        """The bags of the rows given by an integer or boolean index, in that order."""
        return dataclasses.replace(self, keys=self.keys[rows])


def bags_within(keys: Sequence[str], patients: np.ndarray) -> list[tuple[str, ...]]:
    """Gives rows without a bag those of their patient's other rows, as one bag.

    Args:
        keys: Bag of each row, empty where it has none; n of them.
        patients: Number of each row's patient. Shape (n,).
    """
    of_patient: dict[int, dict[str, None]] = {}
    for key, owner in zip(keys, patients, strict=True):
        if key:
            of_patient.setdefault(int(owner), {})[key] = None
    return [
        (key,) if key else tuple(of_patient.get(int(owner), ()))
        for key, owner in zip(keys, patients, strict=True)
    ]
