"""Subgroups and matched pairs against the metrics of the patients they consist of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from fusion import metrics
from fusion.evaluation.predictions import predictions_table
from fusion.evidence.aligned import AlignedPredictions, align
from fusion.evidence.matched import CALIPER, _pairs, matched
from fusion.evidence.subgroups import LEAST, subgroups
from fusion.metrics.logits import sigmoid
from tests.fusion.conftest import cohort_of, feature_table


@pytest.fixture(scope="module")
def large() -> Cohort:
    cohort = cohort_of(feature_table(400))
    patients = cohort.patients.rename(columns={"age_at_diagnosis": "age"})
    patients["site"] = np.where(np.arange(len(patients)) % 40 == 0, "rare", "S1")
    dictionary = [
        dataclasses.replace(c, name="age") if c.name == "age_at_diagnosis" else c
        for c in cohort.dictionary
    ]
    return dataclasses.replace(
        cohort, patients=patients, dictionary=type(cohort.dictionary)(dictionary)
    )


@pytest.fixture(scope="module")
def aligned(large: Cohort) -> AlignedPredictions:
    patients = large.patients
    rng = np.random.default_rng(0)
    y = patients["outcome"].to_numpy()
    breslow = np.log(patients["breslow"].fillna(1.0).to_numpy())
    arms = {
        "clinical_reference": breslow,
        "head[all]": breslow + 1.5 * y + rng.normal(size=len(y)),
        "copy[all]": breslow + 0.01 * rng.normal(size=len(y)),
    }
    parts = [
        pd.DataFrame(
            {
                "run": "r",
                "arm": arm,
                "model": arm.split("[")[0],
                "modalities": "clinical" if arm == "clinical_reference" else "net_a+clinical",
                "design": "ablation",
                "repeat": 0,
                "fold": np.arange(len(y)) % 5,
                "patient_id": patients["patient_id"],
                "y": y,
                "score": score,
                "probability": sigmoid(score),
                "threshold": 0.5,
            }
        )
        for arm, score in arms.items()
    ]
    return align(predictions_table(parts), "head[all]")


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


def test_matched_on_the_reference_it_says_nothing_and_others_keep_what_is_theirs(
    large: Cohort, aligned: AlignedPredictions
) -> None:
    found = matched(large, aligned, 500, 0)
    assert found is not None
    assert found.pairs >= 40
    reference, *others = found.results
    by_arm = {r.arm: r for r in others}
    assert reference.arm == "clinical_reference"
    assert reference.everyone.low > 0.5
    assert abs(reference.auroc.value - 0.5) < 0.06
    assert by_arm["head[all]"].auroc.low > 0.6
    assert abs(by_arm["copy[all]"].auroc.value - 0.5) < 0.07, "it repeats the reference"


def test_without_a_reference_nothing_is_matched(large: Cohort, aligned: AlignedPredictions) -> None:
    bare = dataclasses.replace(
        aligned, arms=tuple(a for a in aligned.arms if a.model != "clinical_reference")
    )
    assert matched(large, bare, 200, 0) is None


def test_pairs_are_as_many_as_can_be_within_the_caliper() -> None:
    events, others = np.array([0.0, 1.0, 5.0]), np.array([0.9, 0.1, 1.05, 9.0])
    first, second = _pairs(events, others, 0.2)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 2)]
    # Taking the nearest for the first would leave the second without partner.
    first, second = _pairs(np.array([0.0, 0.15]), np.array([0.05, -0.1]), 0.12)
    assert len(first) == 2
    assert CALIPER == 0.2
