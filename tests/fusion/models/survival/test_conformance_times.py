"""Every registered model of times to an event passes the suite that plug-ins pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from times_features_example import DESIGN, HARD, HORIZONS, times_table

from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.features.table import FeatureTable
from fusion.metrics.survival import checked_times, harrell_c
from fusion.models.survival.patients import patients_of
from fusion.models.survival.registered import SURVIVAL_MODELS
from fusion.testing import SurvivalModelSuite
from fusion.testing.survival_models import fit_times as fitted

NAMES = sorted(name for name, kind in SURVIVAL_MODELS.items() if kind.needs is None)
"""Those of scikit-survival know no delayed entry: `test_grid_times.py`."""
COUNT_ROWS = (
    "fusion_head",
    "fusion_head_attention",
    "fusion_head_discrete",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "lightgbm",
    "lightgbm_discrete",
    "stacked",
)
"""Losses are of patients, but batch normalisation, bagging and leaf sizes count rows."""


class TestConformance(SurvivalModelSuite):
    counts_rows = COUNT_ROWS

    @pytest.fixture(scope="class", params=NAMES)
    @classmethod
    def name(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.fixture(scope="module")
def parts() -> tuple[FeatureTable, FeatureTable]:
    """90 training and 30 test patients with ties, delayed entry and a competing event."""
    table, _ = times_table(120, 0, HARD)
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:90]), table.of_patients(ids[90:])


@pytest.mark.parametrize("name", [n for n in NAMES if n != "kaplan_meier"])
def test_one_event_is_too_few(name: str, parts: tuple[FeatureTable, FeatureTable]) -> None:
    target = parts[0].target
    assert target.time is not None
    one = np.where(parts[0].patient_ids == parts[0].patient_ids[0], 1.0, 0.0)
    table = dataclasses.replace(parts[0], target=Target.time_to_event(one, target.time))
    with pytest.raises(DataError, match="independent groups with the outcome"):
        fitted(name, table)


@pytest.mark.parametrize(
    "name", ["cox_ridge", "lightgbm", "lightgbm_discrete", "rank_average", "clinical_reference"]
)
@pytest.mark.parametrize("design", [DESIGN, HARD], ids=["plain", "hard"])
def test_models_learn_what_is_planted_and_no_more(name: str, design: object) -> None:
    assert design in (DESIGN, HARD)
    table, cohort = times_table(700, 3, HARD if design is HARD else DESIGN)
    ids = np.unique(table.patient_ids.astype(str))
    test = table.of_patients(ids[400:])
    model = fitted(name, table.of_patients(ids[:400]))
    prediction = model.predict(test, np.array(HORIZONS))
    first = np.unique(test.patient_ids.astype(str), return_index=True)[1]
    times = cohort.times.take(np.arange(400, 700)).cause_specific()
    own = harrell_c(times, prediction.score[first])[0]
    oracle = harrell_c(times, cohort.log_hazard_ratio[400:])[0]
    assert 0.58 < own < oracle
    # Risks are risks: their mean is near the true one.
    for k, horizon in enumerate(HORIZONS):
        true = cohort.risk(horizon)[400:].mean()
        assert abs(prediction.risk[first, k].mean() - true) < 0.05
    inner = model.inner_
    assert harrell_c(inner.times.cause_specific(), inner.score)[0] > 0.58


def test_risk_is_what_remains_after_entry() -> None:
    """Who is known to be free of the event at entry cannot have it before.

    Where nothing competes: else who is free of both may have more to expect than at time zero.
    """
    table, _ = times_table(120, 0, DESIGN)
    model = fitted("cox_ridge", table)
    target = table.target
    assert target.time is not None
    risks = [
        model.predict(
            dataclasses.replace(
                table,
                target=Target.time_to_event(
                    target.event, target.time + 2000, np.full(len(target), e)
                ),
            ),
            np.array([1095.0]),
        ).risk[:, 0]
        for e in (0.0, 400.0, 1095.0)
    ]
    assert (risks[1] <= risks[0]).all()
    assert risks[1].mean() < risks[0].mean() - 0.02
    assert (risks[2] == 0).all()


def test_follow_up_of_the_table_is_checked_once_a_patient() -> None:
    table, cohort = times_table(30)
    patients = patients_of(table)
    assert len(patients) == 30
    checked = checked_times(cohort.times.time, cohort.times.event)
    assert patients.times.time.tolist() == checked.time.tolist()
    assert patients.mean(np.ones(len(table))).tolist() == [1.0] * 30
