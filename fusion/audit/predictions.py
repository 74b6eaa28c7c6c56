"""What the numbers themselves give away: linkage, ceilings, permuted labels, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from fusion import metrics
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.comparators import MODELS

CEILING = 0.90
"""AUROC that no externally validated model of melanoma metastasis exceeds: the sentinel-node
nomogram of 3,477 patients has 0.739, externally 0.750 (PMC7430218), and images for distant
recurrence 0.880 on 51 external patients (Kulkarni et al. 2020)."""

CEILINGS = {"melanoma": 0.95}
"""By outcome: for the diagnosis of melanoma from dermoscopy the winner of ISIC-2020 reached 0.949
on 10,982 test images (Ha et al. 2020, arXiv:2010.05351)."""

ABOVE_ORACLE = 4.0
"""Standard errors above the best AUROC that a planted model allows."""

PERMUTED_P = 1e-3
"""One-sided; a clean run of twenty checks should fall below it in one of a thousand."""

DRIFT = 0.2
"""Relative difference of mean predicted and observed risk."""

DRIFT_Z = 4.0
"""Standard errors of the observed risk by which they must differ as well."""


def _has_predictions(subject: AuditSubject) -> str:
    if subject.predictions is None or subject.predictions.empty:
        return "no predictions yet: run the ablation first"
    return ""


def _is_linked(subject: AuditSubject) -> str:
    return "" if subject.cohort.linkage != "none" else "nothing is linked"


def _label_matched(subject: AuditSubject) -> Iterator[Hit]:
    pairing = subject.cohort.pairing
    if subject.cohort.linkage == "label_matched":
        lent = "" if pairing is None else f" {pairing['donor_id'].nunique()} rows are lent to"
        n = subject.cohort.n_patients
        yield Hit(
            f"Images and patient rows were paired by the outcome:{lent} {n} patients. No row "
            f"describes one person, and the outcome enters every row through the pairing.",
            ("pairing",),
        )


def _arms(predictions: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for (arm, model), rows in predictions.groupby(["arm", "model"], sort=True):
        yield str(arm), str(model), rows


def _mean_auroc(rows: pd.DataFrame) -> float:
    """AUROC of pooled out-of-fold scores, averaged over repeats."""
    return float(
        np.mean(
            [
                metrics.auroc(r["y"].to_numpy(float), r["score"].to_numpy(float)).item()
                for _, r in rows.groupby("repeat")
            ]
        )
    )


def _null_error(rows: pd.DataFrame) -> float:
    """Standard error of an AUROC without any association (Mann & Whitney 1947)."""
    first = rows[rows["repeat"] == rows["repeat"].min()]
    events = float(first["y"].sum())
    others = len(first) - events
    return math.sqrt((events + others + 1) / (12 * events * others)) if events and others else 0.0


def _too_good(subject: AuditSubject) -> Iterator[Hit]:
    assert subject.predictions is not None
    oracle = subject.cohort.facts.get("oracle_auroc")
    ceiling = CEILINGS.get(subject.cohort.outcome.name, CEILING)
    for arm, model, rows in _arms(subject.predictions):
        auroc = _mean_auroc(rows)
        limit = ceiling if oracle is None else min(oracle + ABOVE_ORACLE * _null_error(rows), 1.0)
        if MODELS[model].permuted or not auroc > limit:
            continue
        against = (
            f"published work supports {ceiling} at most for {subject.cohort.outcome.name}"
            if oracle is None
            else f"the planted model allows {oracle:.3f}, which chance does not explain"
        )
        yield Hit(f"{arm} has an AUROC of {auroc:.3f}: {against}.", (arm,), auroc)


def _permuted_floor(subject: AuditSubject) -> Iterator[Hit]:
    assert subject.predictions is not None
    for arm, model, rows in _arms(subject.predictions):
        if not MODELS[model].permuted:
            continue
        auroc, error = _mean_auroc(rows), _null_error(rows)
        p = 0.5 * math.erfc((auroc - 0.5) / error / math.sqrt(2)) if error else 1.0
        if p < PERMUTED_P:
            yield Hit(
                f"{arm} was fitted to exchanged outcomes and still has an AUROC of {auroc:.3f} "
                f"(p = {p:.1g}): something leaks past the folds.",
                (arm,),
                auroc,
            )


def _calibration_drift(subject: AuditSubject) -> Iterator[Hit]:
    assert subject.predictions is not None
    sampled = subject.ablation.head.weighted_sampling
    for arm, model, rows in _arms(subject.predictions):
        if MODELS[model].permuted:
            continue
        one = rows[rows["repeat"] == rows["repeat"].min()]
        predicted, observed = float(one["probability"].mean()), float(one["y"].mean())
        error = math.sqrt(observed * (1 - observed) / len(one))
        if not observed or abs(predicted - observed) < max(DRIFT * observed, DRIFT_Z * error):
            continue
        cause = " Weighted sampling of the head is on." if sampled and model != "joint" else ""
        yield Hit(
            f"{arm} predicts {predicted:.1%} on average where {observed:.1%} have the outcome."
            f"{cause}",
            (arm,),
            predicted - observed,
        )


CHECKS: tuple[Check, ...] = (
    Check(
        name="label_matched",
        title="Images and patient rows paired by the outcome",
        looks_at="How images and patient rows were linked.",
        severity="invalidates",
        advice="Link by patient; read the linkage ladder for what the pairing made of the numbers.",
        find=_label_matched,
        applies=_is_linked,
        acceptable=False,
    ),
    Check(
        name="permuted_floor",
        title="Permuted labels that are predicted",
        looks_at=(
            "The AUROC of the arm that was fitted to exchanged outcomes against one half, by the "
            f"Mann-Whitney null; fires below p = {PERMUTED_P}."
        ),
        severity="invalidates",
        advice="Look at what the folds share: the checks of folds, encoders and fitted steps.",
        find=_permuted_floor,
        applies=_has_predictions,
        acceptable=False,
    ),
    Check(
        name="too_good",
        title="Better than the literature supports",
        looks_at=(
            f"The AUROC of every arm against {CEILING} (diagnosis of melanoma: "
            f"{CEILINGS['melanoma']}), or against the best that a planted model allows."
        ),
        severity="warning",
        advice="Look for what gives the outcome away before you believe it.",
        find=_too_good,
        applies=_has_predictions,
    ),
    Check(
        name="calibration_drift",
        title="Predicted risks off the observed level",
        looks_at=(
            f"Mean predicted against observed risk of every arm; fires from {DRIFT:.0%} of the "
            f"observed risk and {DRIFT_Z:g} standard errors on."
        ),
        severity="warning",
        advice="Do not resample or weight classes, or recalibrate on inner predictions.",
        find=_calibration_drift,
        applies=_has_predictions,
    ),
)
