"""The clinical reference itself: its coefficients, and whether known risk factors point up.

A reference that learns the opposite of what is known (thin tumours that metastasise) says that the
patients were selected, or that the data are wrong; whatever beats it has beaten nothing.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort, groups_of
from featurestore.tables import Column, places
from fusion import metrics
from fusion.endpoints import find_endpoint
from fusion.metrics import LEVEL, Estimate, draw_weights, in_chunks, interval
from fusion.models import PREDICTORS, find_predictor

FACTORS = (
    *PREDICTORS,
    ("stage", re.compile(r"^(?!.*\b[tnm] stage\b).*\bstage\b"), ("ordinal",)),
)
"""What is known to raise the risk of metastasis and death in melanoma (AJCC 8, Gershenwald et al.
2017), and how a column says that it holds it."""

NOT_KNOWN: Mapping[str, tuple[str, ...]] = {
    "melanoma": ("Breslow thickness", "ulceration", "stage"),
    "node_positive": ("age",),
}
"""By outcome the factors of which this is not known: only melanomas have a thickness, and nodes of
the young hold tumour more often (Balch et al. 2014)."""

SPECIMEN = re.compile(r"\b(specimen|sample) type\b")
"""How a column says that it holds the type of the specimen."""

LEAST = 10
"""Patients with the outcome, and without it, below which a direction is not asked for."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """How a column is held against the outcome.

    Attributes:
        event: Which patients of the cohort have the outcome, 0.0 or 1.0. Shape (n,).
        of: Discrimination of a column (n,) among the members of a mask (n,) under draws (draws, n)
            or, where that is None, on the data; shape (draws,).
    """

    event: np.ndarray
    of: Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]


def by_auroc(cohort: Cohort) -> Judge:
    """Holds columns against an outcome that is there or not."""
    y = cohort.patients["outcome"].to_numpy(float)

    def of(value: np.ndarray, known: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        return metrics.auroc(y[known], value[known], None if weights is None else weights[:, known])

    return Judge(y, of)


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """One input of the clinical reference.

    Attributes:
        name: The input as the model sees it.
        ratio: Of odds, or of hazards, per standard deviation of the training patients; geometric
            mean of the fits.
        least: Lowest fit.
        most: Highest fit.
        fits: Fits that have the input.
    """

    name: str
    ratio: float
    least: float
    most: float
    fits: int


@dataclasses.dataclass(frozen=True)
class Direction:
    """Whether a known risk factor goes with the outcome, among all patients or a part of them.

    Attributes:
        factor: What is known to raise the risk.
        column: Name of the column that holds it.
        among: Type of the specimen; empty for all patients.
        n: Patients whose value is known.
        events: Those with the outcome.
        discrimination: AUROC or concordance of the column alone, higher values taken as riskier.
        contradicts: Whether it is surely below one half, corrected for all that were looked at.
    """

    factor: str
    column: str
    among: str
    n: int
    events: int
    discrimination: Estimate
    contradicts: bool


@dataclasses.dataclass(frozen=True)
class ReferenceModel:
    """The clinical reference.

    Attributes:
        basis: What it rests on.
        coefficients: Its inputs.
        directions: Whether known risk factors point the right way.
    """

    basis: str
    coefficients: tuple[Coefficient, ...]
    directions: tuple[Direction, ...]


def reference_model(
    cohort: Cohort,
    fits: Iterable[Mapping[str, Any]],
    clusters: Mapping[str, str],
    draws: int,
    seed: int,
    judge: Judge,
) -> ReferenceModel | None:
    """Describes the clinical reference of a run.

    Args:
        cohort: The cohort.
        fits: Records of `choices.json`; older ones have no coefficients.
        clusters: Cluster of each patient.
        draws: Bootstrap draws.
        seed: Of the draws.
        judge: Of the directions.

    Returns:
        None where none was fitted.
    """
    name = find_endpoint(cohort.outcome.kind).clinical_reference
    choices = [fit["choices"] for fit in fits if fit["model"] == name]
    if not choices:
        return None
    return ReferenceModel(
        str(choices[0]["basis"]),
        tuple(_coefficients([_per_sd(choice) for choice in choices])),
        directions(cohort, clusters, draws, seed, judge),
    )


def _per_sd(choice: Mapping[str, Any]) -> dict[str, float]:
    """Log odds per standard deviation of each input, by its name."""
    return {one["feature"]: float(one["per_sd"]) for one in choice.get("coefficients", ())}


def _coefficients(fitted: list[Mapping[str, float]]) -> Iterator[Coefficient]:
    for name in dict.fromkeys(name for one in fitted for name in one):
        log_odds = [one[name] for one in fitted if name in one]
        middle, least, most = float(np.mean(log_odds)), min(log_odds), max(log_odds)
        yield Coefficient(name, math.exp(middle), math.exp(least), math.exp(most), len(log_odds))


def directions(
    cohort: Cohort, clusters: Mapping[str, str], draws: int, seed: int, judge: Judge
) -> tuple[Direction, ...]:
    """Asks of each known risk factor whether it goes with the outcome.

    Among all patients, and within each type of specimen where that is recorded; nothing is asked
    where a class is small.

    Args:
        cohort: The cohort.
        clusters: Cluster of each patient.
        draws: Bootstrap draws.
        seed: Of the draws.
        judge: Holds a column against the outcome.
    """
    patients = cohort.patients
    ids = patients["patient_id"].to_numpy(dtype=str)
    drawn_as = groups_of(ids, clusters)
    asked = []
    for factor, column in _factors(cohort):
        value = _rank(column, patients[column.name])
        for among, part in _parts(cohort):
            known = part & np.isfinite(value)
            events = int(judge.event[known].sum())
            if min(events, int(known.sum()) - events) >= LEAST and np.ptp(value[known]) > 0:
                asked.append((factor, column.name, among, value, known))
    weights = draw_weights(drawn_as, draws, seed) if asked else np.empty((0, len(ids)))
    return tuple(_direction(*one, judge, weights, len(asked)) for one in asked)


def _direction(
    factor: str,
    column: str,
    among: str,
    value: np.ndarray,
    known: np.ndarray,
    judge: Judge,
    weights: np.ndarray,
    asked: int,
) -> Direction:
    found = float(judge.of(value, known, None)[0])
    drawn = np.concatenate([judge.of(value, known, chunk) for chunk in in_chunks(weights)])
    usable = drawn[np.isfinite(drawn)]
    highest = np.quantile(usable, 1 - (1 - LEVEL) / (2 * asked)) if len(usable) else np.nan
    n, events = int(known.sum()), int(judge.event[known].sum())
    estimate = interval(found, drawn, min(events, n - events))
    return Direction(factor, column, among, n, events, estimate, bool(highest < 0.5))


def _factors(cohort: Cohort) -> Iterator[tuple[str, Column]]:
    unknown = NOT_KNOWN.get(cohort.outcome.name, ())
    for factor, pattern, kinds in FACTORS:
        ordered = tuple(kind for kind in kinds if kind != "nominal")
        column = find_predictor(cohort.dictionary, pattern, ordered)
        if column is not None and factor not in unknown:
            yield factor, column


def _parts(cohort: Cohort) -> Iterator[tuple[str, np.ndarray]]:
    """All patients, then those of each type of specimen, unless that is the outcome."""
    yield "", np.ones(cohort.n_patients, dtype=bool)
    for column in cohort.dictionary:
        words = re.sub(r"[_\W]+", " ", f"{column.name} {column.label}").casefold()
        if column.kind == "nominal" and SPECIMEN.search(words):
            if column.name not in cohort.outcome.rule.columns:
                values = cohort.patients[column.name].astype("str")
                for level in sorted(values.dropna().unique()):
                    yield level, (values == level).fillna(False).to_numpy(dtype=bool)
            return


def _rank(column: Column, values: pd.Series) -> np.ndarray:
    """Values as numbers that rise with what is measured; NaN where missing."""
    if column.kind != "ordinal":
        return values.to_numpy(dtype=float, na_value=np.nan)
    return values.map(places(column.levels), na_action="ignore").to_numpy(
        dtype=float, na_value=np.nan
    )
