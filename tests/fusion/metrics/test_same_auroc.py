"""Fine-tuning selects its epoch by the AUROC of the metrics, without importing them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extractor.finetune.loop import auroc_of_patients
from fusion import metrics


@given(st.lists(st.tuples(st.booleans(), st.integers(-9, 9)), min_size=2, max_size=60))
def test_both_are_the_same_to_the_last_bit(rows: list[tuple[bool, int]]) -> None:
    y = np.array([1.0, 0.0, *(float(event) for event, _ in rows)])
    logits = np.array([0.5, 0.5, *(value / 3 for _, value in rows)])
    patients = np.array([f"P{i:03d}" for i in range(len(y))], dtype=object)
    assert auroc_of_patients(patients, y, logits) == metrics.auroc(y, logits).item()
