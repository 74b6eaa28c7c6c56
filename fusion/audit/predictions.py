"""What the numbers themselves give away: linkage, ceilings, permuted labels, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from fusion import metrics
from fusion.arms import ABLATION
from fusion.audit.base import AuditSubject, Check, Hit, needs_binary
from fusion.audit.ceilings import CEILING, CEILINGS, INVALID, ceiling, gravity
from fusion.metrics import draw_weights
from fusion.models import facts_of

PERMUTED_P = 1e-3
"""One-sided; a clean run of twenty checks should fall below it in one of a thousand."""

DRIFT = 0.2
"""Relative difference of mean predicted and observed risk."""

DRIFT_Z = 4.0
"""Standard errors by which mean risks, or the slope and 1, must differ as well."""

SLOPE = 2.0
"""Factor by which predicted log odds are too extreme, or too timid."""

SLOPE_DRAWS = 200
"""Bootstrap draws for the standard error of a slope, which is all they are for."""


def _has_predictions(subject: AuditSubject) -> str:
    if needs_binary(subject):
        return needs_binary(subject)
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
            f"Images and {{patient}} rows were paired by the outcome:{lent} {n} {{patients}}. No "
            f"row describes one person, and the outcome enters every row through the pairing.",
            ("pairing",),
        )


def _arms(predictions: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Arms of the ablation table; those of other designs are weaker on purpose."""
    plain = predictions[predictions["design"] == ABLATION]
    for (arm, model), rows in plain.groupby(["arm", "model"], sort=True):
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
    for arm, model, rows in _arms(subject.predictions):
        auroc = _mean_auroc(rows)
        limit, against = ceiling(subject, _null_error(rows))
        if not facts_of(model).permuted and auroc > limit:
            text = f"{arm} has an AUROC of {auroc:.3f}: {against}."
            yield Hit(text, (arm,), auroc, gravity(auroc))


def _permuted_floor(subject: AuditSubject) -> Iterator[Hit]:
    assert subject.predictions is not None
    for arm, model, rows in _arms(subject.predictions):
        if not facts_of(model).permuted:
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
        if facts_of(model).permuted:
            continue
        one = rows[rows["repeat"] == rows["repeat"].min()].sort_values("patient_id")
        cause = (
            " Weighted sampling of the head is on." if sampled and facts_of(model).sampled else ""
        )
        for text, value in (*_level(one), *_spread(one, subject)):
            yield Hit(f"{arm} {text}{cause}", (arm,), value)


def _level(rows: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Calibration in the large: mean predicted against observed risk."""
    predicted, observed = float(rows["probability"].mean()), float(rows["y"].mean())
    error = math.sqrt(observed * (1 - observed) / len(rows))
    if observed and abs(predicted - observed) >= max(DRIFT * observed, DRIFT_Z * error):
        yield (
            f"predicts {predicted:.1%} on average where {observed:.1%} have the outcome.",
            predicted - observed,
        )


def _spread(rows: pd.DataFrame, subject: AuditSubject) -> Iterator[tuple[str, float]]:
    """Slope of the observed on the predicted log odds."""
    y, probability = rows["y"].to_numpy(float), rows["probability"].to_numpy(float)
    slope = metrics.calibration_slope(y, probability).item()
    if not math.isfinite(slope) or 1 / SLOPE <= slope <= SLOPE:
        return
    groups = rows["patient_id"].map(dict(subject.groups)).fillna(rows["patient_id"])
    weights = draw_weights(groups.to_numpy(), SLOPE_DRAWS, subject.seed)
    error = float(np.nanstd(metrics.calibration_slope(y, probability, weights)))
    if abs(slope - 1) >= DRIFT_Z * error:
        extreme = "too extreme" if slope < 1 else "too timid"
        yield f"predicts risks that are {extreme}: their calibration slope is {slope:.2f}.", slope


CHECKS: tuple[Check, ...] = (
    Check(
        name="label_matched",
        title="Images and {patient} rows paired by the outcome",
        looks_at="How images and {patient} rows were linked.",
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
            f"{CEILINGS['melanoma']}), or against the best that a planted model allows; above "
            f"{INVALID} it invalidates until the arm is accepted with the cause as the reason."
        ),
        severity="warning",
        advice="Look for what gives the outcome away before you believe it.",
        find=_too_good,
        applies=_has_predictions,
    ),
    Check(
        name="calibration_drift",
        title="Predicted risks that are not the observed ones",
        looks_at=(
            "Predicted against observed risk of every arm: means that differ by "
            f"{DRIFT:.0%} of the observed risk, or a calibration slope below {1 / SLOPE:g} or "
            f"above {SLOPE:g}; fires if the difference is {DRIFT_Z:g} standard errors as well."
        ),
        severity="warning",
        advice=(
            "Do not resample or weight classes, and fit fewer parameters; or recalibrate on inner "
            "predictions."
        ),
        find=_calibration_drift,
        applies=_has_predictions,
    ),
)
