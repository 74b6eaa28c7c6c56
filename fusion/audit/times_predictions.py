"""What predictions of times give away: too good to be believed, or good on exchanged times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm

from fusion.arms import ABLATION
from fusion.audit.base import AuditSubject, Check, Hit, Severity
from fusion.metrics import draw_weights
from fusion.metrics.survival import Times, harrell_c
from fusion.models import facts_of

CEILING = 0.80
"""Concordance that no externally validated model of one kind of tumour exceeds: the nomogram of
stage II melanoma has 0.70 for recurrence and 0.71 externally, that of sentinel-negative stage I and
II 0.76 [0.74, 0.79]; five modalities over many kinds of tumour 0.80, of which the kind alone has
0.74."""

INVALID = 0.90
"""Concordance from which on an unbelieved result means nothing until its cause is accepted."""

ABOVE_ORACLE = 4.0
"""Standard errors above the best concordance that a planted model allows."""

PERMUTED_P = 1e-3
DRAWS = 200
"""Bootstrap draws for a standard error, which is all they are for."""


def _arms(subject: AuditSubject) -> Iterator[tuple[str, str, float, float]]:
    """Of each arm its model, concordance within folds (mean over repeats) and standard error."""
    assert subject.predictions is not None
    plain = subject.predictions[subject.predictions["design"] == ABLATION]
    groups = dict(subject.groups)
    for (arm, model), rows in plain.groupby(["arm", "model"], sort=True):
        values, drawn = [], []
        for _, part in rows.groupby("repeat"):
            part = part.sort_values("patient_id")
            times = _times(part)
            score, fold = part["score"].to_numpy(float), part["fold"].to_numpy()
            clusters = part["patient_id"].map(groups).fillna(part["patient_id"]).to_numpy()
            weights = draw_weights(clusters, DRAWS, subject.seed).astype(float)
            values.append(float(harrell_c(times, score, strata=fold)[0]))
            drawn.append(harrell_c(times, score, weights, strata=fold))
        error = float(np.nanstd(np.mean(drawn, axis=0)))
        yield str(arm), str(model), float(np.mean(values)), error


def _times(rows: pd.DataFrame) -> Times:
    """Follow-up, competing events censored."""
    event = (rows["event"].to_numpy() == 1).astype(np.int64)
    return Times(rows["time"].to_numpy(float), event, rows["entry"].to_numpy(float))


def _too_good(subject: AuditSubject) -> Iterator[Hit]:
    oracle = subject.cohort.facts.get("oracle_c")
    for arm, model, value, error in _arms(subject):
        limit, against = CEILING, f"published work supports {CEILING:g} at most in one tumour"
        if oracle is not None:
            limit = min(oracle + ABOVE_ORACLE * error, 1.0)
            against = f"the planted model allows {oracle:.3f}, which chance does not explain"
        if not _permuted(model) and value > limit:
            grave: Severity = "invalidates" if value > INVALID else "warning"
            yield Hit(f"{arm} has a concordance of {value:.3f}: {against}.", (arm,), value, grave)


def _permuted_floor(subject: AuditSubject) -> Iterator[Hit]:
    for arm, model, value, error in _arms(subject):
        p = float(norm.sf((value - 0.5) / error)) if error > 0 else 1.0
        if _permuted(model) and p < PERMUTED_P:
            yield Hit(
                f"{arm} was fitted to exchanged times and still has a concordance of {value:.3f} "
                f"(p = {p:.1g}): something leaks past the folds.",
                (arm,),
                value,
            )


def _permuted(model: str) -> bool:
    return facts_of(model, "time_to_event").permuted


def _applies(subject: AuditSubject) -> str:
    if subject.predictions is None or subject.predictions.empty:
        return "no predictions yet: run the ablation first"
    return ""


CHECKS = (
    Check(
        "permuted_times",
        "Exchanged times that are predicted",
        "Concordance within folds of the arm that was fitted to exchanged times against one half, "
        f"by its bootstrap error; fires below p = {PERMUTED_P}.",
        "invalidates",
        "Look at what the folds share: the checks of folds, encoders and fitted steps.",
        _permuted_floor,
        _applies,
        acceptable=False,
        kind="time_to_event",
    ),
    Check(
        "too_concordant",
        "Better than the literature supports",
        f"Concordance within folds of every arm against {CEILING:g}, or against the best that a "
        f"planted model allows; above {INVALID:g} it invalidates until the arm is accepted with "
        "the cause as the reason.",
        "warning",
        "Look for what gives the outcome away, columns of time first, before you believe it.",
        _too_good,
        _applies,
        kind="time_to_event",
    ),
)
