"""Subgroups against the metrics of the patients they consist of."""

from __future__ import annotations

import numpy as np
import pytest

from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from fusion import metrics
from fusion.evidence.aligned import AlignedPredictions
from fusion.evidence.subgroups import LEAST, subgroups


def test_numbers_are_those_of_the_patients(large: Cohort, aligned: AlignedPredictions) -> None:
    found = subgroups(large, aligned, "head[all]", aligned.patient_ids, 200, 0)
    assert list(dict.fromkeys(s.column for s in found)) == ["sex", "age", "Source site"]
    patients = large.patients.set_index("patient_id").loc[aligned.patient_ids]
    score = aligned["head[all]"].repeats[0].score
    for group in (s for s in found if s.column == "sex" and s.level != "missing"):
        member = (patients["sex"] == group.level).to_numpy()
        assert (group.n, group.events) == (member.sum(), aligned.y[member].sum())
        expected = metrics.auroc(aligned.y[member], score[member])[0]
        auroc = group.metrics["auroc"]
        assert auroc.value == pytest.approx(expected)
        assert auroc.low < expected < auroc.high
    ages = [s for s in found if s.column == "age"]
    assert [s.level for s in ages] == ["< 50", "50 to < 65", "≥ 65"]
    assert [s.n for s in ages] == [
        int(((patients["age"] >= low) & (patients["age"] < high)).sum())
        for low, high in ((-np.inf, 50), (50, 65), (65, np.inf))
    ]


def test_small_subgroups_have_no_numbers(large: Cohort, aligned: AlignedPredictions) -> None:
    found = subgroups(large, aligned, "head[all]", aligned.patient_ids, 200, 0, ("site",))
    rare = next(s for s in found if s.level == "rare")
    assert min(rare.events, rare.n - rare.events) < LEAST
    assert rare.metrics == {}
    assert sum(s.n for s in found) == len(aligned.y)


def test_a_column_that_is_not_there_is_named(large: Cohort, aligned: AlignedPredictions) -> None:
    with pytest.raises(ConfigError, match="no patient column 'colour'; known: age"):
        subgroups(large, aligned, "head[all]", aligned.patient_ids, 200, 0, ("colour",))
