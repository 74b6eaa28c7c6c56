"""Metrics of times to an event: out-of-fold weights, folds kept apart, repeats and draws.

Expected values are counted here pair by pair and row by row.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from survival_evidence_example import BASELINE, HORIZONS, Made, made, predictions_of

from featurestore.errors import DataError
from fusion.evidence import collect
from fusion.evidence.survival import SurvivalEvidence
from fusion.evidence.survival.measures import Measure, measures
from fusion.evidence.survival.predictions import AlignedTimes, TimesRepeat, align_times
from fusion.evidence.survival.scoring import score_arms, score_folds
from fusion.evidence.survival.support import Support, find_support
from fusion.metrics import draw_weights
from fusion.metrics.survival.simulation import Design

DRAWS = 12


@pytest.fixture(scope="module")
def study() -> Made:
    return made(n=90)


@pytest.fixture(scope="module")
def aligned(study: Made) -> AlignedTimes:
    return align_times(predictions_of(study), BASELINE)


@pytest.fixture(scope="module")
def support(aligned: AlignedTimes) -> Support:
    return find_support(aligned)


def censoring(time: np.ndarray, event: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Probability of not being censored before each time; events come first where tied."""
    found = np.ones(len(at))
    for moment in np.unique(time[event == 0]):
        gone = np.sum((time == moment) & (event == 0))
        there = np.sum(time >= moment) - np.sum((time == moment) & (event > 0))
        found[at > moment] *= 1 - gone / there
    return np.maximum(found, 0.05)


def weights_of(time: np.ndarray, event: np.ndarray, fold: np.ndarray, at: np.ndarray) -> np.ndarray:
    """One over the censoring of the other folds."""
    found = np.empty(len(time))
    for number in np.unique(fold):
        own = fold == number
        found[own] = 1 / censoring(time[~own], event[~own], at[own])
    return found


def uno_by_pairs(
    aligned: AlignedTimes, part: TimesRepeat, tau: float, rows: np.ndarray, within: bool
) -> float:
    """Uno's C of rows that may repeat, each pair looked at; needs no delayed entry."""
    time, event = aligned.times.time[rows], (aligned.times.event == 1).astype(int)[rows]
    fold, score = part.fold[rows], part.score[rows]
    weight = weights_of(time, event, fold, time)
    won = pairs = 0.0
    for i in np.flatnonzero((event == 1) & (time <= tau)):
        other = (time > time[i]) | ((time == time[i]) & (event != 1))
        other &= (fold == fold[i]) if within else True
        # Both of a pair must be seen: each by the censoring of its own training part.
        at_event = weights_of(time, event, fold, np.full(len(time), time[i]))
        pair = weight[i] * at_event * other
        pairs += pair.sum()
        won += pair @ ((score[i] > score) + 0.5 * (score[i] == score))
    return won / pairs


def brier_by_rows(aligned: AlignedTimes, part: TimesRepeat, place: int, rows: np.ndarray) -> float:
    time, event = aligned.times.time[rows], aligned.times.event[rows]
    days, risk = aligned.horizons[place], part.risk[rows, place]
    weight = weights_of(time, event, part.fold[rows], np.minimum(time, days))
    known = ((event > 0) & (time <= days)) | (time >= days)
    case = (event == 1) & (time <= days)
    return float(np.mean(known * weight * (case - risk) ** 2))


def asked_of(aligned: AlignedTimes, support: Support, *names: str) -> list[Measure]:
    return [m for m in measures(aligned, support) if m.name in names]


def test_concordance_within_and_over_folds_pair_by_pair(
    aligned: AlignedTimes, support: Support
) -> None:
    asked = asked_of(aligned, support, "uno_c", "uno_c_pooled")
    scores = score_arms(aligned, asked, aligned.patient_ids, 4, 0)
    everyone = np.arange(len(aligned.times))
    for arm in aligned.arms:
        for name, within in (("uno_c", True), ("uno_c_pooled", False)):
            values = [
                uno_by_pairs(aligned, part, support.until, everyone, within) for part in arm.repeats
            ]
            assert scores[arm.arm].metrics[name].values == pytest.approx(values, rel=1e-10)
            found = scores[arm.arm].estimate(name).value
            assert found == pytest.approx(np.mean(values), rel=1e-10)


def test_a_draw_is_scored_as_the_patients_it_drew(aligned: AlignedTimes, support: Support) -> None:
    """Also its weights of censoring come from what it drew; tied clusters come together."""
    clusters = aligned.patient_ids.copy()
    clusters[1] = clusters[0]
    asked = asked_of(aligned, support, "uno_c", "brier_at_730.5")
    scores = score_arms(aligned, asked, clusters, DRAWS, 7)
    counts = draw_weights(clusters, DRAWS, 7)
    assert (counts[:, 0] == counts[:, 1]).all()
    arm = aligned[BASELINE]
    for draw in (0, 5, 11):
        rows = np.repeat(np.arange(len(clusters)), counts[draw])
        for repeat, part in enumerate(arm.repeats):
            found = scores[BASELINE].metrics["uno_c"].draws[repeat, draw]
            expected = uno_by_pairs(aligned, part, support.until, rows, True)
            assert found == pytest.approx(expected, rel=1e-10)
            found = scores[BASELINE].metrics["brier_at_730.5"].draws[repeat, draw]
            assert found == pytest.approx(brier_by_rows(aligned, part, 0, rows), rel=1e-10)


def test_folds_are_scored_with_the_weights_of_their_training_parts(
    aligned: AlignedTimes, support: Support
) -> None:
    asked = asked_of(aligned, support, "brier_at_1826.25")
    table = score_folds(aligned, asked).set_index(["arm", "repeat", "fold"])
    part, times = aligned[BASELINE].repeats[1], aligned.times
    days = HORIZONS[1]
    weight = weights_of(times.time, times.event, part.fold, np.minimum(times.time, days))
    known = ((times.event == 1) & (times.time <= days)) | (times.time >= days)
    case = (times.event == 1) & (times.time <= days)
    for fold in range(5):
        own = part.fold == fold
        loss = (known * weight * (case - part.risk[:, 1]) ** 2)[own]
        row = table.loc[(BASELINE, 1, fold)]
        assert row["brier_at_1826.25"] == pytest.approx(loss.mean(), rel=1e-10)
        assert row["n"] == own.sum()
        assert row["events"] == times.event[own].sum()


def test_a_level_of_each_fold_changes_nothing_but_pooled_concordance(study: Made) -> None:
    found = []
    for shift in (0.0, 3.0):
        aligned = align_times(predictions_of(study, shift=shift), BASELINE)
        support = find_support(aligned)
        names = ("uno_c", "harrell_c", "uno_c_pooled", "harrell_c_pooled", "auc_at_730.5")
        scores = score_arms(aligned, asked_of(aligned, support, *names), aligned.patient_ids, 4, 0)
        found.append({name: scores[BASELINE].estimate(name).value for name in names})
    for name in ("uno_c", "harrell_c", "auc_at_730.5"):
        assert found[0][name] == found[1][name]
    for name in ("uno_c_pooled", "harrell_c_pooled"):
        assert found[1][name] < found[0][name] - 0.05


def test_who_knows_nothing_has_one_half_within_folds(
    aligned: AlignedTimes, support: Support
) -> None:
    asked = asked_of(aligned, support, "uno_c", "harrell_c", "auc_at_730.5", "auc_at_1826.25")
    scores = score_arms(aligned, asked, aligned.patient_ids, DRAWS, 0)["kaplan_meier"]
    assert {measure.name: scores.estimate(measure.name).value for measure in asked} == {
        measure.name: 0.5 for measure in asked
    }


def test_widening_is_that_of_repeats_and_none_for_exchanged_outcomes(
    aligned: AlignedTimes, support: Support
) -> None:
    asked = asked_of(aligned, support, "uno_c")
    scores = score_arms(aligned, asked, aligned.patient_ids, 40, 0)
    sample = scores[BASELINE].metrics["uno_c"]
    assert sample.folds == 5
    counted = (aligned.times.event == 1) & (aligned.times.time <= support.until)
    assert sample.units == counted.sum()
    assert scores[BASELINE].estimate("uno_c").method == "repeats"
    assert scores["permuted_labels"].estimate("uno_c").method == "percentile"


def test_competing_events_censor_a_concordance_and_are_no_case_at_a_horizon() -> None:
    study = made(Design(effect=1.0, competing=0.5, censoring=0.1), n=120)
    aligned = align_times(predictions_of(study, repeats=1), BASELINE)
    support = find_support(aligned)
    asked = measures(aligned, support)
    scores = score_arms(aligned, asked, aligned.patient_ids, 4, 0)[BASELINE]
    part, everyone = aligned[BASELINE].repeats[0], np.arange(120)
    expected = uno_by_pairs(aligned, part, support.until, everyone, True)
    assert scores.estimate("uno_c").value == pytest.approx(expected, rel=1e-10)
    expected = brier_by_rows(aligned, part, 0, everyone)
    assert scores.estimate("brier_at_730.5").value == pytest.approx(expected, rel=1e-10)
    assert {"uno_c_incidence", "auc_cause_specific_at_730.5"} <= {m.name for m in asked}


def test_a_horizon_beyond_follow_up_has_no_number_and_is_named(study: Made) -> None:
    late = predictions_of(study).rename(columns={"risk_at_1826.25": "risk_at_9000"})
    cohort = dataclasses.replace(
        study.cohort, outcome=dataclasses.replace(study.cohort.outcome, horizons=(730.5, 9000.0))
    )
    found = collect(dataclasses.replace(study, cohort=cohort).inputs(), late)
    assert isinstance(found, SurvivalEvidence)
    assert found.horizons == (730.5,)
    assert not any("9000" in name for arm in found.arms for name in arm.metrics)
    assert "integrated_brier" not in found.arms[0].metrics
    assert any("No metric is printed at 24.6 years" in f.text for f in found.findings)
    assert found.follow_up.until == 730.5


def test_a_horizon_without_risk_of_one_arm_is_left_out(study: Made) -> None:
    table = predictions_of(study)
    unknown = (table["arm"] == "lightgbm[image+clinical]") & (table["fold"] == 2)
    table.loc[unknown, "risk_at_1826.25"] = np.nan
    support = find_support(align_times(table, BASELINE))
    assert list(support.horizons.values()) == [730.5]
    assert "no risk at it" in support.beyond[1826.25]


@pytest.mark.parametrize(("column", "value"), [("time", 17.0), ("event", 0), ("entry", 3.0)])
def test_predictions_of_other_times_are_refused(study: Made, column: str, value: float) -> None:
    table = predictions_of(study)
    chosen = table.loc[(table["event"] == 1) & (table["time"] > 20), "patient_id"].iloc[0]
    table.loc[table["patient_id"] == chosen, column] = value
    with pytest.raises(DataError, match="other outcomes than the cohort's"):
        collect(study.inputs(), table)


def test_a_patient_with_two_times_is_refused(study: Made) -> None:
    table = predictions_of(study).reset_index(drop=True)
    table.loc[0, "time"] += 1
    with pytest.raises(DataError, match="patients with two outcomes"):
        collect(study.inputs(), table)


def test_row_order_means_nothing(study: Made) -> None:
    table = predictions_of(study)
    one = collect(study.inputs(draws=8), table)
    other = collect(study.inputs(draws=8), table.iloc[::-1])
    assert [repr(a.metrics) for a in one.arms] == [repr(a.metrics) for a in other.arms]
    pd.testing.assert_frame_equal(one.per_fold, other.per_fold)  # type: ignore[attr-defined]


def test_follow_up_too_short_for_any_metric_is_one_line(study: Made) -> None:
    table = predictions_of(study)
    few = sorted(table["patient_id"].unique())[:8]
    with pytest.raises(DataError, match="supports no metric"):
        find_support(align_times(table[table["patient_id"].isin(few)], BASELINE))
