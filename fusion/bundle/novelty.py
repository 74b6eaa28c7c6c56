"""How far the embedding of an image lies from those of training.

The distance is that of probabilistic principal components (Tipping & Bishop 1999): along the
leading components each coordinate is divided by its training spread, and what lies outside of them
by the mean spread there. It is squared and divided by its number of dimensions, so that 1 is
ordinary.

Training images lie closer to a centre that was fitted on them than new ones do. So the quantiles
that new distances are compared with come from folds over patients: each image is measured by a fit
that has not seen its patient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Self

import numpy as np

from featurestore.cohort import inner_folds
from fusion.features import Arrays, FeatureTable, PrincipalComponents, below

COMPONENTS = 32
FOLDS = 3
SHARE = 0.99
"""Share of training images that are not flagged."""

_GRID = np.linspace(0.0, 1.0, 201)


@dataclasses.dataclass(frozen=True)
class _Distance:
    components: PrincipalComponents
    rest: float  # mean variance along a direction outside of the components

    @classmethod
    def fit(cls, matrix: np.ndarray) -> Self:
        components = PrincipalComponents(min(COMPONENTS, max(1, len(matrix) // 4))).fit(matrix)
        centred = matrix - components.mean_
        total = float((centred**2).sum(axis=1).mean())
        left = total - float(((centred @ components.components_.T) ** 2).sum(axis=1).mean())
        outside = max(matrix.shape[1] - len(components.variance_), 1)
        return cls(components, max(left, 1e-6 * total, 1e-12) / outside)

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        centred = np.asarray(matrix, dtype=np.float64) - self.components.mean_
        scores = centred @ self.components.components_.T
        inside = (scores**2 / np.maximum(self.components.variance_, 1e-12)).sum(axis=1)
        rest = np.maximum((centred**2).sum(axis=1) - (scores**2).sum(axis=1), 0.0)
        return (inside + rest / self.rest) / matrix.shape[1]


@dataclasses.dataclass(frozen=True)
class Novelty:
    """Distances of training images, and what new ones are measured by.

    Attributes:
        quantiles: Distances at even steps from the least to the greatest; shape (201,).
    """

    quantiles: np.ndarray
    _distance: _Distance

    @classmethod
    def fit(cls, table: FeatureTable, encoder: str, seed: int) -> Self:
        """Learns from the images of the training patients.

        Args:
            table: Training rows; those without the embedding take no part.
            encoder: Name of the embedding.
            seed: Decides the folds.

        Raises:
            DataError: There are too few patients with images of either outcome.
        """
        rows = table.take(~np.isnan(table.embeddings[encoder]).all(axis=1))
        matrix = rows.embeddings[encoder].astype(np.float64)
        distances = np.empty(len(matrix))
        for training, held_out in inner_folds(rows.patient_ids, rows.groups, rows.y, FOLDS, seed):
            distances[held_out] = _Distance.fit(matrix[training])(matrix[held_out])
        return cls(np.quantile(distances, _GRID), _Distance.fit(matrix))

    @property
    def limit(self) -> float:
        """Distance within which `SHARE` of the training images lie."""
        return float(np.interp(SHARE, _GRID, self.quantiles))

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """Distance of each embedding (n, D); shape (n,)."""
        return self._distance(embeddings)

    def nearer(self, distance: float) -> float:
        """Share of the training images that lie nearer."""
        return float(np.interp(distance, self.quantiles, _GRID))

    def to_arrays(self) -> Arrays:
        """Returns the fitted state as plain arrays."""
        own = {f"components.{k}": v for k, v in self._distance.components.to_arrays().items()}
        return own | {"rest": np.array([self._distance.rest]), "quantiles": self.quantiles}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds it from `to_arrays` output.

        Raises:
            KeyError: An array is absent.
        """
        components = PrincipalComponents.from_arrays(below("components.", arrays))
        return cls(arrays["quantiles"], _Distance(components, float(arrays["rest"][0])))
