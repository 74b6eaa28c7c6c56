"""Intervals, differences and gains of collected evidence, by plain loops and by theory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from collect_example import BASELINE, gather, make_groups
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn.metrics import roc_auc_score

from featurestore.cohort.tables import Cohort
from fusion.endpoints.binary import BINARY
from fusion.evidence import Evidence
from fusion.metrics.bootstrap import draw_weights
from fusion.metrics.classification import auroc
from fusion.metrics.delong import delong
from fusion.metrics.explained import nagelkerke_r2
from fusion.metrics.logits import sigmoid


def test_intervals_and_paired_differences_by_repeating_rows(
    studied: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    """The whole path again with plain loops over draws, arms and repeats."""
    groups = make_groups(studied)
    ids = sorted(groups)
    weights = draw_weights([groups[p] for p in ids], 300, seed=0)
    found: dict[str, list[list[float]]] = {BASELINE: [], "head[image]": []}
    observed: dict[str, list[float]] = {}
    for arm, values in found.items():
        own = predictions[predictions["arm"] == arm]
        parts = [part.set_index("patient_id").loc[ids] for _, part in own.groupby("repeat")]
        columns = [(part["y"].to_numpy(), part["score"].to_numpy()) for part in parts]
        observed[arm] = [float(auroc(y, s)[0]) for y, s in columns]
        for line in weights:
            rows = np.repeat(np.arange(len(ids)), line)
            values.append([float(auroc(y[rows], s[rows])[0]) for y, s in columns])
    outcome = columns[0][0]
    events = {groups[p] for p, y in zip(ids, outcome, strict=True) if y == 1}
    others = {groups[p] for p, y in zip(ids, outcome, strict=True) if y == 0}
    quantile = student_t.ppf(0.975, min(len(events), len(others)) - 1)

    def error(draws: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """Plain and widened standard error, draw by draw."""
        means = [line.mean() for line in draws]
        between = [np.var(line - values, ddof=1) for line in draws]
        plain = np.var(means, ddof=1)
        repeats = len(values)
        folds = predictions["fold"].nunique()
        training = min(np.mean(between) * (folds - 1 + 1 / repeats), 1.25 * plain)
        return float(np.sqrt(plain)), float(np.sqrt(plain + training))

    reference, image = (np.array(v) for v in found.values())
    first, second = (np.array(v) for v in observed.values())
    by_name = {a.arm: a for a in evidence.arms}
    shown = by_name[BASELINE].metrics["auroc"]
    plain, widened = error(reference, first)
    assert plain < widened
    value = first.mean()
    ends = np.quantile(reference.mean(axis=1), [0.025, 0.975])
    stretch = widened / plain * quantile / norm.ppf(0.975)
    low, high = expit(logit(value) + stretch * (logit(ends) - logit(value)))
    assert (shown.value, shown.low, shown.high) == pytest.approx((value, low, high))
    assert shown.method == "repeats"
    delta = by_name["head[image]"].differences["auroc"].estimate
    _, widened = error(image - reference, second - first)
    value = (second - first).mean()
    assert (delta.low, delta.high) == pytest.approx(
        (value - quantile * widened, value + quantile * widened)
    )
    gain = next(g for g in evidence.fusion_gain if g.single_arm == "head[image]")
    assert gain.delta.low == pytest.approx(-delta.high)
    assert gain.p == by_name["head[image]"].differences["auroc"].p
    assert (gain.model, gain.modality) == ("head", "image")


def test_every_interval_says_which_it_is(evidence: Evidence) -> None:
    """The permuted floor exchanges outcomes in every fold anew: training adds nothing to it."""
    kinds = {arm.arm: arm.metrics["auroc"].method for arm in evidence.arms}
    assert kinds.pop("permuted_labels") == "percentile"
    assert set(kinds.values()) == {"repeats"}
    printed = {e.method for arm in evidence.arms for e in arm.metrics.values()}
    assert {"repeats", "percentile"} <= printed
    assert {facts.method for facts in evidence.intervals} == printed
    for arm in evidence.arms:
        assert all(found.method for found in arm.metrics.values())
        methods = {found.estimate.method for found in arm.differences.values()}
        assert methods <= {"repeats"}


def test_fold_averaged_auroc_stands_beside_the_pooled_one(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    for arm in evidence.arms:
        own = predictions[predictions["arm"] == arm.arm].groupby(["repeat", "fold"])
        areas = [roc_auc_score(part["y"], part["score"]) for _, part in own]
        found, pooled = arm.fold_averaged, arm.metrics["auroc"]
        assert found is not None
        assert found.value == pytest.approx(np.mean(areas))
        if arm.model != "prevalence":
            assert logit(found.high) - logit(found.value) == pytest.approx(
                logit(pooled.high) - logit(pooled.value)
            )


def test_gains_are_adjusted_over_all_of_them(evidence: Evidence) -> None:
    p = [gain.p for gain in evidence.fusion_gain]
    adjusted = [gain.p_holm for gain in evidence.fusion_gain]
    assert len(p) == 3
    assert min(adjusted) == pytest.approx(3 * min(p))
    assert max(adjusted) <= 1


def test_the_baseline_has_no_difference_and_holm_leaves_floors_out(evidence: Evidence) -> None:
    by_name = {a.arm: a for a in evidence.arms}
    assert by_name[BASELINE].differences == {}
    for metric in BINARY.tested:
        tested = [
            a.differences[metric] for a in evidence.arms if a.kind != "floor" and a.arm != BASELINE
        ]
        smallest = min(d.p for d in tested)
        adjusted = [d.p_holm for d in tested if d.p_holm is not None]
        assert len(adjusted) == 5
        assert min(adjusted) == pytest.approx(5 * smallest)
        floor = by_name["prevalence"].differences[metric]
        assert np.isfinite(floor.p)
        assert floor.p_holm is None


def test_prevalence_ranks_nobody_and_says_nothing_it_cannot(evidence: Evidence) -> None:
    floor = next(a for a in evidence.arms if a.model == "prevalence")
    area = floor.metrics["auroc"]
    assert (area.value, area.low, area.high) == (0.5, 0.5, 0.5)
    assert np.isnan(floor.metrics["calibration_slope"].value)
    assert np.isfinite(floor.metrics["calibration_intercept"].low)
    assert floor.modalities == ()
    assert floor.delong is not None
    assert np.isnan(floor.delong.low)


def test_fusion_gain_is_taken_within_a_model(evidence: Evidence) -> None:
    pairs = {(g.fused_arm, g.single_arm) for g in evidence.fusion_gain}
    assert pairs == {
        (BASELINE, "head[image]"),
        (BASELINE, "head[clinical]"),
        ("tree[image+clinical]", "tree[image]"),
    }
    texts = [f.text for f in evidence.findings]
    assert any("tree[image+clinical] adds nothing measurable over tree[image]" in t for t in texts)
    assert not any("over head[clinical]" in t for t in texts)


def test_each_arm_has_its_own_tie_width(evidence: Evidence) -> None:
    """Nadeau & Bengio's corrected resampled t interval of the differences over folds, by hand."""
    areas = evidence.per_fold.pivot(index=["repeat", "fold"], columns="arm", values="auroc")
    widths = {arm.arm: arm.tie_width for arm in evidence.arms}
    assert np.isnan(widths.pop(BASELINE))
    for arm, width in widths.items():
        gaps = (areas[arm] - areas[BASELINE]).to_numpy()
        error = np.sqrt(np.var(gaps, ddof=1) * (1 / 10 + 40 / 160))
        assert width == pytest.approx(student_t.ppf(0.975, 9) * error), arm
    assert len({round(width, 6) for width in widths.values()}) == len(widths)


def test_delong_and_calibration_are_of_all_repeats(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    for arm in evidence.arms:
        own = predictions[predictions["arm"] == arm.arm].sort_values("patient_id")
        parts = [part for _, part in own.groupby("repeat")]
        y = parts[0]["y"].to_numpy(float)
        assert arm.delong is not None
        assert arm.delong.value == pytest.approx(arm.metrics["auroc"].value)
        found = delong(y, np.stack([part["score"].to_numpy() for part in parts]))
        spread = 1.959963984540054 * np.sqrt(np.ones(2) @ found.covariance @ np.ones(2) / 4)
        if arm.model != "prevalence":
            assert arm.delong.low == pytest.approx(arm.delong.value - spread)
        assert arm.calibration.count.sum() == pytest.approx(200)
        whole = np.average(arm.calibration.predicted, weights=arm.calibration.count)
        assert whole == pytest.approx(own["probability"].mean())
        r2 = np.mean([nagelkerke_r2(y, part["probability"].to_numpy()) for part in parts])
        assert arm.explained == pytest.approx(r2)


def test_copies_across_patients_are_noted_and_widen_what_is_drawn(
    studied: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    note = next(f for f in evidence.findings if "copied images" in f.text)
    assert note.level == "note"
    assert note.text.startswith("2 clusters")
    assert "the 4 patients" in note.text
    images = studied.images.assign(duplicate_cluster=studied.images["image_id"])
    alone = gather(dataclasses.replace(studied, images=images), predictions)
    assert not any("copied images" in f.text for f in alone.findings)
    assert alone.arms[0].metrics["auroc"].value == evidence.arms[0].metrics["auroc"].value
    assert alone.arms[0].metrics["auroc"].low != evidence.arms[0].metrics["auroc"].low


def test_perfect_arm_has_an_honest_interval(studied: Cohort, predictions: pd.DataFrame) -> None:
    perfect = predictions.copy()
    own = perfect["arm"] == BASELINE
    perfect.loc[own, "score"] = np.where(perfect.loc[own, "y"] == 1, 3.0, -3.0)
    perfect.loc[own, "probability"] = sigmoid(perfect.loc[own, "score"].to_numpy())
    found = gather(studied, perfect)
    arm = next(a for a in found.arms if a.arm == BASELINE)
    groups = studied.patients["patient_id"].map(make_groups(studied))
    rarer = min(groups[studied.patients["outcome"] == label].nunique() for label in (0, 1))
    assert arm.metrics["auroc"].value == 1.0
    assert arm.metrics["auroc"].low == pytest.approx(0.025 ** (1 / rarer))
    assert arm.metrics["accuracy"].low == pytest.approx(0.025 ** (1 / 198))
    assert np.isnan(arm.metrics["auprc"].low)
    assert np.isnan(arm.metrics["calibration_slope"].value)
