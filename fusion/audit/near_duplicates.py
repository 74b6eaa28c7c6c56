"""Patients who are in the table twice under two ids, with values that differ a little.

How close two rows are is counted in the information that their agreement carries: a value that is
as near as one in forty is worth log 40, a value that differs nothing. Correlated columns are near
together more often than independent ones, so rows are compared with those of made-up cohorts that
have the same columns and the same correlations, and nobody twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm, poisson, rankdata

from featurestore.errors import name_some
from featurestore.tables.dictionary import Column
from fusion.audit.association import column_numbers
from fusion.audit.base import AuditSubject, Check, Hit

COHORTS = 12
"""Made-up cohorts."""

MARGIN = 8.0
"""By how much one pair must exceed the closest of a made-up cohort (which grows by log 2 when the
number of pairs doubles), so that it is no chance: e^-8 is one in 3,000."""

EXCESS = 3.0
"""Factor by which pairs of a closeness must exceed those of made-up cohorts to count together."""

CHANCE = 1e-6
"""Probability of so many pairs, against `EXCESS` times the expected ones."""

FEWEST_PAIRS = 8
"""Pairs that must be more than expected, when none of them is certain."""

MIN_COLUMNS = 4
MOST_COLUMNS = 60
MOST_PATIENTS = 4000
"""Rows that are compared each with each; of more patients a sample is."""

NAMED = 5


@dataclasses.dataclass(frozen=True)
class Twins:
    """Pairs of rows that are closer than those of strangers.

    Attributes:
        pairs: Row numbers, the closest first; each row is in one pair at most.
        expected: Pairs as close in a cohort without anybody twice.
    """

    pairs: tuple[tuple[int, int], ...]
    expected: float


def closeness(places: np.ndarray, ties: np.ndarray, row: int) -> np.ndarray:
    """Information in the agreement of one row with all rows after it; shape (n - row - 1,).

    Args:
        places: Place of each value among those of its column, 0 to 1, NaN where missing. Levels
            without order have whole numbers from 2 on. Shape (n, k).
        ties: Share of patients who have the value. Shape (n, k).
        row: The row.
    """
    apart = np.abs(places[row + 1 :] - places[row])
    within = np.minimum(2 * apart + np.maximum(ties[row + 1 :], ties[row]), 1.0)
    information = -np.log(np.where(np.isnan(apart), 1.0, within))
    return np.asarray(information.sum(axis=1))


def find_twins(places: np.ndarray, nominal: np.ndarray, groups: np.ndarray, seed: int) -> Twins:
    """Finds pairs of rows that made-up cohorts of the same kind do not have.

    Args:
        places: As `closeness` takes them. Shape (n, k).
        nominal: Which columns have no order. Shape (k,).
        groups: Group of each row; rows of one group are no pair. Shape (n,).
        seed: Seed of the made-up cohorts.
    """
    rng = np.random.default_rng(seed)
    scores, first, second = _pairs(places, groups)
    strangers = [
        _pairs(_made_up(places, nominal, rng), np.arange(len(places)))[0] for _ in range(COHORTS)
    ]
    certain = float(np.mean([s[0] for s in strangers])) + MARGIN
    n_certain = int((scores >= certain).sum())
    best, expected = n_certain, 0.0
    pooled = np.sort(np.concatenate(strangers))
    for count in range(FEWEST_PAIRS, len(scores) + 1):
        limit = scores[count - 1]
        strange = (len(pooled) - np.searchsorted(pooled, limit, side="left")) / COHORTS
        enough = count >= EXCESS * strange + FEWEST_PAIRS
        if enough and poisson.sf(count - 1, EXCESS * strange + 1) < CHANCE and count > best:
            best, expected = count, float(strange)
    found = zip(first[:best].tolist(), second[:best].tolist(), strict=True)
    return Twins(tuple(found), expected)


def _pairs(places: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The closest pairs, each row in one at most: information, first and second row."""
    n = len(places)
    ties = _ties(places)
    scores, rows, partners = [], [], []
    for row in range(n - 1):
        near = closeness(places, ties, row)
        near[groups[row + 1 :] == groups[row]] = -1.0
        top = np.argsort(-near, kind="stable")[:3]
        scores.append(near[top])
        rows.append(np.full(len(top), row))
        partners.append(row + 1 + top)
    score, one, other = (np.concatenate(parts) for parts in (scores, rows, partners))
    order = np.argsort(-score, kind="stable")
    free = np.ones(n, dtype=bool)
    kept = []
    for k in order:
        if score[k] > 0 and free[one[k]] and free[other[k]]:
            free[[one[k], other[k]]] = False
            kept.append(k)
    return score[kept], one[kept], other[kept]


def _ties(places: np.ndarray) -> np.ndarray:
    """Share of rows that have each value; shape (n, k)."""
    ties = np.zeros(places.shape)
    for k, column in enumerate(places.T):
        known = np.isfinite(column)
        _, inverse, counts = np.unique(column[known], return_inverse=True, return_counts=True)
        ties[known, k] = counts[inverse] / max(known.sum(), 1)
    return ties


def _made_up(places: np.ndarray, nominal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows with the values of each column and the correlations of their ranks (normal copula)."""
    n, k = places.shape
    latent = np.zeros((n, k))
    for j, column in enumerate(places.T):
        known = np.isfinite(column)
        ranks = rankdata(column[known] + (1e-9 * rng.random(known.sum()) if nominal[j] else 0))
        latent[known, j] = norm.ppf(ranks / (known.sum() + 1))
    correlation = np.corrcoef(latent, rowvar=False) + 1e-6 * np.eye(k)
    spread, axes = np.linalg.eigh(np.atleast_2d(np.nan_to_num(correlation)))
    drawn = rng.normal(size=(n, k)) * np.sqrt(np.maximum(spread, 0)) @ axes.T
    made = np.full((n, k), np.nan)
    for j, column in enumerate(places.T):
        known = np.isfinite(column)
        values = np.sort(column[known])
        made[known, j] = values[np.argsort(np.argsort(drawn[known, j]))]
    return made


def _places(columns: list[Column], frame: pd.DataFrame) -> np.ndarray:
    parts = []
    for column in columns:
        values = frame[column.name]
        if column.kind in ("nominal", "binary"):
            codes = pd.factorize(values, sort=True)[0]
            parts.append(np.where(codes < 0, np.nan, 2.0 * codes + 2))
            continue
        numbers = column_numbers(column, values)
        place = np.full(len(numbers), np.nan)
        known = np.isfinite(numbers)
        place[known] = rankdata(numbers[known]) / max(known.sum(), 1)
        parts.append(place)
    return np.stack(parts, axis=1)


def _columns(subject: AuditSubject) -> list[Column]:
    """Columns that tell patients apart, also withheld ones; genes spread evenly."""
    patients = subject.cohort.patients
    found = [c for c in subject.cohort.dictionary if patients[c.name].nunique() > 1]
    facts = [c for c in found if c.kind != "expression"][:MOST_COLUMNS]
    genes = [c for c in found if c.kind == "expression"]
    step = max(len(genes) // max(MOST_COLUMNS - len(facts), 1), 1)
    return [*facts, *genes[::step]][:MOST_COLUMNS]


def _twins(subject: AuditSubject) -> Iterator[Hit]:
    patients = subject.cohort.patients.sort_values("patient_id", ignore_index=True)
    patients = patients.iloc[_sample(len(patients), subject.seed)].reset_index(drop=True)
    columns = _columns(subject)
    ids = patients["patient_id"]
    groups = pd.factorize(ids.map(dict(subject.groups)).fillna(ids))[0]
    nominal = np.array([c.kind == "nominal" for c in columns])
    twins = find_twins(_places(columns, patients), nominal, groups, subject.seed)
    roles = _roles(subject.folds)
    pairs = [(ids[a], ids[b]) for a, b in twins.pairs if roles.get(ids[a]) != roles.get(ids[b])]
    if not pairs:
        return
    sure = len(twins.pairs) - twins.expected
    shown = name_some([f"{a} = {b}" for a, b in pairs], NAMED)
    yield Hit(
        f"About {sure:.0f} patients are in the table twice, with most values equal and the others "
        f"close: {len(twins.pairs)} pairs are nearer than strangers, {len(pairs)} of them on both "
        f"sides of a fold, for example {shown}.",
        ("patients",),
        float(len(pairs)),
    )


def _roles(folds: pd.DataFrame) -> Mapping[str, tuple[int, ...]]:
    """The fold that tests each patient in every repeat."""
    tests = folds[folds["role"] == "test"].sort_values(["repeat", "fold"])
    found: dict[str, tuple[int, ...]] = tests.groupby("patient_id")["fold"].agg(tuple).to_dict()
    return found


def _sample(n: int, seed: int) -> np.ndarray:
    if n <= MOST_PATIENTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, MOST_PATIENTS, replace=False))


def _applies(subject: AuditSubject) -> str:
    enough = len(_columns(subject)) >= MIN_COLUMNS
    return "" if enough else f"fewer than {MIN_COLUMNS} columns tell patients apart"


CHECKS = (
    Check(
        "near_duplicates",
        "Same patient under two ids",
        "Closeness of the rows of all pairs of patients, in the information of what they agree "
        f"in, against {COHORTS} made-up cohorts with the same columns and correlations; fires on "
        f"pairs that exceed their closest by {MARGIN:g} nats, and on {EXCESS:g} times as many "
        "close pairs as they have.",
        "invalidates",
        "Give each person one id and make the folds anew.",
        _twins,
        _applies,
    ),
)
