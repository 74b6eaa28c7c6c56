"""Predictions from outside: whole and of these folds, or a line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from times_features_example import (
    HARD,
    HORIZONS,
    cohort_of_times,
    folds_of_times,
    times_table,
)

from featurestore.cohort import Cohort, Folds
from featurestore.errors import DataError
from fusion.config import AblationConfig
from fusion.evaluation.outside import Outsider, outside_rows
from fusion.metrics import logit
from fusion.metrics.survival import checked_times
from fusion.models import InnerPredictions, inner_threshold
from fusion.models.survival import cut_points, fit_risk_scale

WHO = Outsider("mine", "run", "clinical", "binary", (), AblationConfig())
TIMES = Outsider("mine", "run", "", "time_to_event", HORIZONS, AblationConfig())
Change = Callable[[pd.DataFrame], object]


def whole(folds: Folds, value: str = "probability") -> pd.DataFrame:
    """Predictions of every test patient, in no order."""
    rows = folds.table[folds.table["role"] == "test"].drop(columns="role")
    drawn = np.random.default_rng(0).uniform(size=len(rows))
    return rows.assign(**{value: drawn}).sample(frac=1, random_state=0)


def first(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The table with other values in its first row."""
    changed = table.astype(dict.fromkeys(values, object))
    for name, value in values.items():
        changed.iloc[0, changed.columns.get_loc(name)] = value
    return changed


def test_rows_are_scored_by_what_other_folds_say(cohort: Cohort, folds: Folds) -> None:
    given = whole(folds)
    rows = outside_rows(given, WHO, folds, cohort.target)
    assert len(rows) == len(cohort.patients)
    assert set(rows["model"]) == set(rows["arm"]) == {"mine"}
    assert set(rows["modalities"]) == {"clinical"}
    told = given.set_index("patient_id")["probability"]
    own = rows.set_index("patient_id")
    assert own["probability"].tolist() == told[own.index].tolist()
    assert own["score"].tolist() == logit(told[own.index].to_numpy()).tolist()
    y = cohort.patients.set_index("patient_id")["outcome"]
    assert own["y"].tolist() == y[own.index].tolist()
    for fold, part in own.groupby("fold"):
        other = own.index[own["fold"] != fold].to_numpy()
        inner = InnerPredictions(other, y[other].to_numpy(), told[other].to_numpy())
        assert set(part["threshold"]) == {inner_threshold(inner)}


def test_a_patients_own_outcome_moves_no_threshold_of_his_fold(
    cohort: Cohort, folds: Folds
) -> None:
    given = whole(folds)
    before = outside_rows(given, WHO, folds, cohort.target)
    moved = given.assign(probability=given["probability"].where(given["fold"] != 0, 0.5))
    after = outside_rows(moved, WHO, folds, cohort.target)
    at = [set(rows.loc[rows["fold"] == 0, "threshold"]) for rows in (before, after)]
    assert at[0] == at[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["probability"].to_numpy(), r"mine: predictions are a pandas table .* ndarray"),
        (lambda t: t.drop(columns="fold"), r"mine: the predictions lack the column fold$"),
        (lambda t: t.assign(y=1), r"mine: nothing is done with the column y; leave it out"),
        (lambda t: first(t, probability="high"), r"mine: a column is not of numbers"),
        (lambda t: first(t, fold=0.5), r"mine: a column is not of numbers \(repeat and fold are"),
        (lambda t: first(t, probability=np.nan), r"mine: 1 values of probability are NaN or inf"),
        (lambda t: first(t, probability=-0.1), r"mine: 1 values of probability are outside 0 to 1"),
        (lambda t: first(t, patient_id="X"), r"mine: 1 id is not of this study: X$"),
        (lambda t: t.assign(repeat=1), r"mine: predictions are of the repeats 1; the study has 0"),
        (lambda t: pd.concat([t, t[:2]]), r"mine: 2 ids are predicted twice in a repeat: P"),
        (lambda t: t[3:], r"mine: 117 ids are predicted in repeat 0, 120 are tested; 3 without"),
        (lambda t: t[:0], r"mine: predictions are of the repeats ; the study has 0"),
        (
            lambda t: t.assign(fold=(t["fold"] + 1) % 3),
            r"mine: 120 ids are said to be tested in other folds than those of repeat 0; P",
        ),
    ],
)
def test_what_is_no_whole_set_of_these_folds_is_one_line(
    change: Change, message: str, cohort: Cohort, folds: Folds
) -> None:
    with pytest.raises(DataError, match=message) as raised:
        outside_rows(change(whole(folds)), WHO, folds, cohort.target)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def followed() -> tuple[Cohort, Folds]:
    """Patients with ties, delayed entry and a competing event, and their folds."""
    cohort = cohort_of_times(times_table(120, 0, HARD)[0])
    return cohort, folds_of_times(cohort)


def test_scores_of_times_get_the_scale_of_other_folds(followed: tuple[Cohort, Folds]) -> None:
    cohort, folds = followed
    given = whole(folds, "score")
    rows = outside_rows(given, TIMES, folds, cohort.target).set_index("patient_id")
    told = given.set_index("patient_id")["score"]
    for fold, part in rows.groupby("fold"):
        other = np.sort(rows.index[rows["fold"] != fold].to_numpy())
        target = cohort.target(other)
        times = checked_times(target.time, target.event, target.entry, codes=(0, 1, 2))  # type: ignore[arg-type]
        scale = fit_risk_scale(other, times, told[other].to_numpy())
        score = scale.log_hazard_ratio(told[part.index].to_numpy())
        np.testing.assert_array_equal(part["score"], score)
        entry = cohort.target(part.index.to_numpy()).entry
        assert entry is not None
        risk = scale.risk(score, np.array(HORIZONS), entry)
        np.testing.assert_array_equal(part[["risk_at_365", "risk_at_1095"]], risk)
        cuts = cut_points(other, scale.log_hazard_ratio(told[other].to_numpy()))
        assert part["risk_group"].tolist() == np.searchsorted(cuts, score).tolist()


def test_own_risks_are_taken_as_they_are(followed: tuple[Cohort, Folds]) -> None:
    cohort, folds = followed
    given = whole(folds, "score").assign(risk_at_365=0.2, risk_at_1095=0.4)
    rows = outside_rows(given, TIMES, folds, cohort.target)
    assert set(rows["risk_at_365"]) == {0.2}
    assert sorted(rows["score"]) == sorted(given["score"])
    with pytest.raises(DataError, match="have risks at some horizons but lack risk_at_1095"):
        outside_rows(given.drop(columns="risk_at_1095"), TIMES, folds, cohort.target)
    with pytest.raises(DataError, match="a risk falls with the horizon"):
        outside_rows(given.assign(risk_at_1095=0.1), TIMES, folds, cohort.target)
    with pytest.raises(DataError, match="120 values of risk_at_365 are outside 0 to 1"):
        outside_rows(given.assign(risk_at_365=3), TIMES, folds, cohort.target)
