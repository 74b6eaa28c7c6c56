"""Inner folds of comparators, encoded by their own training rows."""

from __future__ import annotations

import numpy as np

from fusion.arms import Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.models.inner import encode_training


def test_inner_folds_are_encoded_by_their_own_training_rows(
    parts: tuple[FeatureTable, FeatureTable],
    modalities: tuple[Modality, ...],
    small_config: AblationConfig,
) -> None:
    data = encode_training(parts[0], modalities, small_config.metadata, 3, 0)
    rows = np.sort(np.concatenate([fold.rows for fold in data.folds]))
    assert rows.tolist() == list(range(len(parts[0])))
    for fold in data.folds:
        assert not set(fold.training.patient_ids) & set(fold.validation.patient_ids)
        weighted = np.average(fold.training.x, axis=0, weights=fold.training.weights)
        np.testing.assert_allclose(weighted, 0, atol=1e-6)
    scores = [fold.rows.astype(float) for fold in data.folds]
    assert data.out_of_fold(scores).tolist() == list(range(len(parts[0])))
