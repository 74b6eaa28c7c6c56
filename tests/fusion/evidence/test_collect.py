"""Evidence collected from small tables of predictions with a known truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from collect_example import ARMS, BASELINE, gather, make_cohort
from sklearn.metrics import average_precision_score, roc_auc_score

from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError
from featurestore.tables.exclusions import exclusions_table
from fusion.evidence import Evidence
from fusion.evidence.cohorts import flow
from fusion.metrics.classification import metrics_at


def _mean(predictions: pd.DataFrame, arm: str, function: object) -> float:
    assert callable(function)
    own = predictions[predictions["arm"] == arm]
    return float(np.mean([function(r["y"], r["score"]) for _, r in own.groupby("repeat")]))


def test_the_best_arm_stands_first_and_floors_last(evidence: Evidence) -> None:
    kinds = [a.kind for a in evidence.arms]
    assert kinds[-2:] == ["floor"] * 2
    assert set(kinds[:-2]) == {"arm", "reference"}
    for part in (evidence.arms[:-2], evidence.arms[-2:]):
        values = [a.metrics["auroc"].value for a in part]
        assert values == sorted(values, reverse=True)
    assert {a.arm for a in evidence.arms} == {name for name, *_ in ARMS}
    assert {a.n for a in evidence.arms} == {200}
    assert all(set(a.metrics) == set(metrics_at(0.5)) for a in evidence.arms)


def test_the_verdict_is_on_the_arms_of_the_table(evidence: Evidence) -> None:
    verdict = evidence.verdict
    assert verdict.best == evidence.arms[0].arm
    assert (verdict.reference, verdict.subject, verdict.among) == (BASELINE, BASELINE, 6)
    assert verdict.fusion is not None
    assert verdict.fusion.single == "tree[image]"
    own = next(a for a in evidence.arms if a.arm == "tree[image]").differences["auroc"]
    assert verdict.fusion.delta.value == pytest.approx(-own.estimate.value)
    assert verdict.fusion.delta.low == pytest.approx(-own.estimate.high)
    assert verdict.audit is None


def test_metrics_are_averaged_over_repeats(evidence: Evidence, predictions: pd.DataFrame) -> None:
    for arm in evidence.arms:
        expected = _mean(predictions, arm.arm, roc_auc_score)
        assert arm.metrics["auroc"].value == pytest.approx(expected), arm.arm
        expected = _mean(predictions, arm.arm, average_precision_score)
        assert arm.metrics["auprc"].value == pytest.approx(expected), arm.arm


def test_decisions_use_the_threshold_of_each_fold(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    own = predictions[predictions["arm"] == BASELINE]
    right = (own["probability"] >= own["threshold"]) == (own["y"] == 1)
    arm = next(a for a in evidence.arms if a.arm == BASELINE)
    assert arm.metrics["accuracy"].value == pytest.approx(right.mean())
    assert "0.300 to 0.340 over 10 folds" in arm.threshold


def test_curves_belong_to_the_metrics(evidence: Evidence) -> None:
    arm = next(a for a in evidence.arms if a.arm == BASELINE)
    assert np.trapezoid(arm.roc.y, arm.roc.x) == pytest.approx(arm.metrics["auroc"].value, abs=0.01)
    assert arm.pr.y.mean() == pytest.approx(arm.metrics["auprc"].value, abs=0.02)
    at = int(np.argmin(np.abs(arm.decision.x - evidence.net_benefit_threshold)))
    assert arm.decision.y[at] == pytest.approx(arm.metrics["net_benefit"].value, abs=0.02)
    for curve in (arm.roc, arm.pr, arm.decision):
        assert curve.low is not None
        assert curve.high is not None
        assert np.mean((curve.low <= curve.y) & (curve.y <= curve.high)) > 0.9
        assert (curve.high > curve.low).any()
    assert arm.calibration.count.sum() == 200


def test_folds_are_scored_one_by_one(evidence: Evidence, predictions: pd.DataFrame) -> None:
    assert len(evidence.per_fold) == len(ARMS) * 2 * 5
    row = evidence.per_fold.query("arm == @BASELINE and repeat == 1 and fold == 3").iloc[0]
    own = predictions.query("arm == @BASELINE and repeat == 1 and fold == 3")
    assert row["auroc"] == pytest.approx(roc_auc_score(own["y"], own["score"]))
    assert (row["n"], row["events"]) == (len(own), own["y"].sum())


def test_flow_and_table_one(evidence: Evidence) -> None:
    assert [(s.entity, s.stage, s.reason, s.n) for s in evidence.flow] == [
        ("image", "inspect", "truncated", 2),
        ("patient", "outcome", "outcome unknown", 1),
    ]
    assert evidence.table1.iloc[0]["all"] == "200"


def test_same_seed_and_other_row_order_give_the_same_numbers(
    studied: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    shuffled = predictions.sample(frac=1, random_state=3)
    again = gather(studied, shuffled)
    for one, two in zip(evidence.arms, again.arms, strict=True):
        for name in one.metrics:
            np.testing.assert_array_equal(
                dataclasses.astuple(one.metrics[name]), dataclasses.astuple(two.metrics[name])
            )
        np.testing.assert_array_equal(one.roc.low, two.roc.low)
        assert one.differences == two.differences
    assert evidence.findings == again.findings
    pd.testing.assert_frame_equal(evidence.per_fold, again.per_fold)
    other = gather(studied, predictions, seed=1)
    assert other.arms[0].metrics["auroc"].low != evidence.arms[0].metrics["auroc"].low


def test_one_class_only_is_reported_and_not_computed(
    studied: Cohort, predictions: pd.DataFrame
) -> None:
    nobody = dataclasses.replace(studied, patients=studied.patients.assign(outcome=0.0))
    found = gather(nobody, predictions.assign(y=0))
    assert all(np.isnan(a.metrics["auroc"].value) for a in found.arms)
    assert all(a.delong is None for a in found.arms)
    assert any("300 of 300 bootstrap draws held one class" in f.text for f in found.findings)
    assert found.arms[0].roc.low is None


def test_one_arm_and_one_fold_suffice(studied: Cohort, predictions: pd.DataFrame) -> None:
    one = predictions.query("arm == @BASELINE and repeat == 0").assign(fold=0)
    found = gather(studied, one)
    assert len(found.arms) == 1
    assert found.fusion_gain == ()
    assert np.isnan(found.arms[0].tie_width)


def _drop_patient(t: pd.DataFrame) -> pd.DataFrame:
    return t[~((t["arm"] == "head[image]") & (t["patient_id"] == "P005"))]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t[t["arm"] != BASELINE], "baseline .* has no predictions"),
        (lambda t: t[:0], "no predictions to report"),
        (_drop_patient, r"head\[image\].* 199 ids"),
        (lambda t: t.assign(run=np.where(t["repeat"] == 1, "a", "b")), "several runs"),
        (lambda t: t.assign(patient_id=t["patient_id"] + "x"), "that the cohort lacks"),
        (lambda t: t.assign(y=1 - t["y"]), "other outcomes"),
        (lambda t: t.assign(y=np.where(t["repeat"] == 1, 1 - t["y"], t["y"])), "two outcomes"),
        (lambda t: t.assign(score=np.nan), "finite"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(
    studied: Cohort, predictions: pd.DataFrame, damage: object, message: str
) -> None:
    assert callable(damage)
    with pytest.raises(DataError, match=message):
        gather(studied, damage(predictions), draws=20)


def test_the_flow_counts_images_of_left_out_patients_without_naming_them() -> None:
    made = make_cohort(60)
    rows = [("image", f"X{k}", "outcome", f"patient P {k} left out: not known") for k in range(3)]
    studied = dataclasses.replace(made, exclusions=exclusions_table(rows))
    (step,) = flow(studied)
    assert (step.reason, step.n) == ("its patient left out: not known", 3)
