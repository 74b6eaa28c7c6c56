"""Whether there are patients enough for what an arm fits.

Ten events a predictor is no criterion: what is enough depends on prevalence, on the strength of the
model and on what is asked of it (van Smeden et al. 2016; Riley et al. 2020). These are the criteria
of Riley et al. for a binary outcome, and the one of van Smeden et al. 2019 for the error of
probabilities. All of them are about regression without penalty; penalties, trees and networks need
at least as much to learn as much.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.tables import Column
from fusion.arms import Arm
from fusion.audit.base import AuditSubject, Check, Hit, needs_binary
from fusion.audit.subject_views import planned_arms
from fusion.metrics.explained import nagelkerke_r2
from fusion.models import find_model, reference_columns

SHRINKAGE = 0.9
"""Share of a fitted effect that is to be no overfitting (Riley et al. 2020, criterion 1)."""

OPTIMISM = 0.05
"""Most of Nagelkerke's R² that may be overfitting (Riley et al. 2020, criterion 2)."""

PROBABILITY_ERROR = 0.05
"""Mean absolute error of probabilities; half width of the prevalence (Riley et al. 2020)."""

EXPECTED_R2 = 0.15
"""Nagelkerke's R² of a model of which nothing is known (Riley et al. 2020, box 2)."""

EVENTS_PER_PREDICTOR = "events_per_predictor"
"""Name of the check."""


def cox_snell(prevalence: float, nagelkerke: float = EXPECTED_R2) -> float:
    """Cox and Snell's R² of a model with this Nagelkerke R²."""
    p = prevalence
    log_null = p * np.log(p) + (1 - p) * np.log(1 - p)
    return float(nagelkerke * (1 - np.exp(2 * log_null)))


def patients_for_shrinkage(parameters: int, r2: float, shrinkage: float = SHRINKAGE) -> int:
    """Patients with whom effects shrink to no less than `shrinkage` (criterion 1).

    Args:
        parameters: Candidate parameters.
        r2: Expected Cox-Snell R².
        shrinkage: Between `r2` and 1.
    """
    return int(np.ceil(parameters / ((shrinkage - 1) * np.log(1 - r2 / shrinkage))))


def patients_for_optimism(parameters: int, r2: float, prevalence: float) -> int:
    """Patients with whom Nagelkerke's R² is overfitted by `OPTIMISM` at most (criterion 2)."""
    largest = cox_snell(prevalence, 1.0)
    return patients_for_shrinkage(parameters, r2, r2 / (r2 + OPTIMISM * largest))


def patients_for_prevalence(prevalence: float) -> int:
    """Patients with whom the prevalence is known to ±`PROBABILITY_ERROR` (criterion 3)."""
    return int(np.ceil((1.96 / PROBABILITY_ERROR) ** 2 * prevalence * (1 - prevalence)))


def patients_for_probabilities(parameters: int, prevalence: float) -> int:
    """Patients with whom probabilities err by `PROBABILITY_ERROR` on average.

    By the regression of van Smeden et al. 2019 on their simulations, which went to 30 parameters.
    """
    terms = -0.508 + 0.259 * np.log(prevalence) + 0.504 * np.log(parameters)
    return int(np.ceil(np.exp((terms - np.log(PROBABILITY_ERROR)) / 0.544)))


def patients_needed(parameters: int, prevalence: float, nagelkerke: float = EXPECTED_R2) -> int:
    """Patients that meet all four criteria.

    Args:
        parameters: Candidate parameters, at least 1.
        prevalence: Share of the rarer class, in (0, 0.5].
        nagelkerke: Nagelkerke's R² of the model, above 0.
    """
    r2 = cox_snell(prevalence, nagelkerke)
    return max(
        patients_for_shrinkage(parameters, r2),
        patients_for_optimism(parameters, r2, prevalence),
        patients_for_prevalence(prevalence),
        patients_for_probabilities(parameters, prevalence),
    )


def arm_parameters(arm: Arm, subject: AuditSubject) -> int:
    """Coefficients of a logistic regression on what an arm sees.

    Levels count as dummies, missing values as an indicator each; expression and embeddings count
    as the components they are reduced to.
    """
    kind = find_model(arm.model)
    if not kind.weighs_columns:
        return 0
    dictionary, settings = subject.cohort.dictionary, subject.ablation.metadata
    names = {name for modality in arm.modalities for name in modality.columns(dictionary)}
    if kind.role == "clinical reference":
        reference = reference_columns(dictionary)
        return _width(list(reference.names), subject) if reference else 0
    profiles: dict[str, int] = {}
    for name in names:
        if dictionary[name].kind == "expression":
            group = dictionary[name].group
            profiles[group] = profiles.get(group, 0) + 1
    plain = [name for name in names if dictionary[name].kind != "expression"]
    components = settings.expression_components or max(profiles.values(), default=0)
    embeddings = sum(len(modality.embeddings) for modality in arm.modalities)
    return (
        _width(plain, subject)
        + sum(min(width, components) for width in profiles.values())
        + embeddings * settings.embedding_components
    )


def _width(names: list[str], subject: AuditSubject) -> int:
    patients, dictionary = subject.cohort.patients, subject.cohort.dictionary
    return sum(_column_width(dictionary[name], patients[name]) for name in names)


def _column_width(column: Column, values: pd.Series) -> int:
    if values.nunique() < 2 and values.notna().all():
        return 0
    dummies = max(values.nunique() - 1, 1) if column.kind == "nominal" else 1
    return dummies + int(values.isna().any())


def _too_few(subject: AuditSubject) -> Iterator[Hit]:
    n, rarer = _smallest_training_part(subject)
    same: dict[int, list[str]] = {}
    for arm in planned_arms(subject):
        parameters = arm_parameters(arm, subject)
        if parameters:
            same.setdefault(parameters, []).append(arm.name)
    for parameters in sorted(same, reverse=True):
        needed = patients_needed(parameters, rarer / n)
        if n >= needed:
            continue
        names = same[parameters]
        observed = _as_observed(names, parameters, subject, rarer / n)
        hopeless = rarer < parameters
        patients, many = subject.cohort.patients, subject.cohort.noun.many
        tied = bool(patients["person_id"].duplicated().any())
        more = f" {many.capitalize()} of one patient are alike: more are needed." if tied else ""
        grave = " There are more parameters than {patients} of the rarer class." if hopeless else ""
        yield Hit(
            f"{', '.join(names)}: {parameters} parameters on {n} training {{patients}}, {rarer} of "
            f"them in the rarer class ({rarer / parameters:.1f} a parameter); a regression needs "
            f"about {needed:,} {{patients}} if its Nagelkerke R² is {EXPECTED_R2:g}, as is assumed "
            f"where nothing is known.{more}{observed}{grave}",
            tuple(names),
            rarer / parameters,
            "warning" if hopeless else None,
        )


def _as_observed(names: list[str], parameters: int, subject: AuditSubject, rate: float) -> str:
    """What the best of some arms explains out of fold, and the patients that this needs."""
    observed = [r2 for name in names if (r2 := observed_r2(name, subject)) is not None]
    if not observed:
        return ""
    best = max(observed)
    which = "" if len(observed) == 1 else ", the best of them"
    text = f" Observed out of fold: {best:.3f}{which}"
    if best <= 0:
        return f"{text}, no more than the prevalence explains."
    return f"{text}, which needs about {patients_needed(parameters, rate, best):,}."


def observed_r2(arm: str, subject: AuditSubject) -> float | None:
    """Nagelkerke's R² of an arm's out-of-fold probabilities, mean over repeats; None without."""
    if subject.predictions is None:
        return None
    rows = subject.predictions[subject.predictions["arm"] == arm]
    found = [
        nagelkerke_r2(part["y"].to_numpy(float), part["probability"].to_numpy(float))
        for _, part in rows.groupby("repeat")
    ]
    return float(np.mean(found)) if found else None


def _smallest_training_part(subject: AuditSubject) -> tuple[int, int]:
    """Patients and those of the rarer class, in the training part with the fewest of these."""
    outcome = subject.cohort.patients.set_index("patient_id")["outcome"]
    parts = [outcome.loc[list(subject.folds.training(key))] for key in subject.folds.keys]
    sizes = [(min(int(part.sum()), int((1 - part).sum())), len(part)) for part in parts]
    rarer, n = min(sizes)
    return n, rarer


CHECKS = (
    Check(
        EVENTS_PER_PREDICTOR,
        "Too few events for what is fitted",
        f"Parameters of each arm against its training {{patients}}, for a Nagelkerke R² of "
        f"{EXPECTED_R2:g}: shrinkage {SHRINKAGE}, optimism of "
        f"R² {OPTIMISM}, error of probabilities {PROBABILITY_ERROR} (Riley et al. 2020; van Smeden "
        "et al. 2019).",
        "note",
        "Fit fewer columns or components, or take the arm's calibration and ranking as unstable.",
        _too_few,
        needs_binary,
    ),
)
