"""The base of all models: order of rows, and what a fit leaves."""

from __future__ import annotations

import numpy as np

from fusion.features.table import FeatureTable
from fusion.models.base import canonical_order


def test_canonical_order_sorts_by_patient_then_row(table: FeatureTable) -> None:
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    ordered = shuffled.take(canonical_order(shuffled))
    assert ordered.row_ids.tolist() == table.row_ids.tolist()
