"""Arrays of a study whose outcome is a time to an event."""

from __future__ import annotations

import numpy as np
from times_features_example import HARD, MODALITIES, cohort_of_times, folds_of_times, times_table

from fusion.study.matrix import matrix_of


def test_times_come_with_their_entry_and_competing_events() -> None:
    table, simulated = times_table(60, 0, HARD)
    folds = folds_of_times(cohort_of_times(table))
    data = matrix_of(table, MODALITIES, folds, folds.keys)
    assert data.ids.tolist() == [f"P{i:04d}" for i in range(60)]
    assert data.y.tolist() == simulated.times.event.tolist()
    assert set(data.y) == {0, 1, 2}
    assert data.time is not None
    assert data.entry is not None
    assert data.time.tolist() == simulated.times.time.tolist()
    assert data.entry.tolist() == simulated.times.entry.tolist()
    own = table.patient_ids == "P0003"
    np.testing.assert_allclose(
        data.X[3, :12], table.embeddings["net_a"][own].mean(axis=0), rtol=1e-6
    )
    lacking = [np.isnan(table.embeddings["net_a"][table.patient_ids == p]).all() for p in data.ids]
    assert np.isnan(data.X[:, 0]).tolist() == lacking
    rows = data.predictions(data.splits[1], np.zeros(len(data.splits[1].test)))
    assert list(rows.columns) == ["patient_id", "repeat", "fold", "score"]
    assert rows["patient_id"].tolist() == list(folds.test((0, 1)))
