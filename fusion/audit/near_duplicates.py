"""Patients who are in the table twice under two ids, with values that differ a little.

How close two rows are is counted in the information that their agreement carries: a value that is
as near as one in forty is worth log 40, a value that differs much is worth nothing. How many pairs
of strangers are how close depends on the columns and on how they depend on each other, so it is
read off the cohort itself: beyond the closest n pairs of n patients the number of strangers falls
at least as fast as before them. Patients who are there twice are what stands above that line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import poisson, rankdata

from featurestore.cohort import Folds
from featurestore.errors import name_some
from featurestore.tables import Column
from fusion.audit.association import column_numbers
from fusion.audit.base import AuditSubject, Check, Hit

FROM, TO = 4, 1
"""Ranks of pairs, in multiples of the number of patients, between which the fall is measured."""

EXCESS = 2.0
"""Factor by which close pairs must exceed those that the line predicts."""

CHANCE = 1e-5
"""Probability of so many pairs, against `EXCESS` times the predicted ones."""

FEWEST_PATIENTS = 50
MIN_COLUMNS = 4
MOST_COLUMNS = 60
MOST_PATIENTS = 4000
"""Rows that are compared each with each; of more patients a sample is."""

NAMED = 5


@dataclasses.dataclass(frozen=True)
class Twins:
    """Pairs of rows that are closer than those of strangers.

    Attributes:
        pairs: Row numbers, the closest first.
        strangers: Pairs as close that are expected of strangers.
    """

    pairs: tuple[tuple[int, int], ...]
    strangers: float


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


def find_twins(places: np.ndarray, groups: np.ndarray) -> Twins:
    """Finds pairs of rows that are closer than the other pairs let expect.

    Args:
        places: As `closeness` takes them. Shape (n, k).
        groups: Group of each row; rows of one group are no pair. Shape (n,).
    """
    n = len(places)
    scores, first, second = _closest_pairs(places, groups, FROM * n)
    if len(scores) < FROM * n:
        return Twins((), 0.0)
    level = scores[TO * n - 1]
    fall = (level - scores[FROM * n - 1]) / np.log(FROM / TO)
    if fall <= 0:
        return Twins((), 0.0)
    counts = np.arange(1, TO * n + 1)
    expected = TO * n * np.exp(-(scores[: TO * n] - level) / fall)
    surprise = poisson.sf(counts - 1, EXCESS * expected)
    beyond = np.flatnonzero((surprise < CHANCE) & (counts > EXCESS * expected))
    if not len(beyond):
        return Twins((), 0.0)
    last = int(beyond[-1])
    pairs = zip(first[: last + 1].tolist(), second[: last + 1].tolist(), strict=True)
    return Twins(tuple(pairs), float(expected[last]))


def _closest_pairs(
    places: np.ndarray, groups: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information, first and second row of the closest pairs, the closest first."""
    ties = _ties(places)
    scores, rows, partners = [], [], []
    for row in range(len(places) - 1):
        near = closeness(places, ties, row)
        other = np.flatnonzero((groups[row + 1 :] != groups[row]) & (near > 0))
        scores.append(near[other])
        rows.append(np.full(len(other), row))
        partners.append(row + 1 + other)
    score, one, two = (np.concatenate(parts) for parts in (scores, rows, partners))
    order = np.argsort(-score, kind="stable")[:most]
    return score[order], one[order], two[order]


def _ties(places: np.ndarray) -> np.ndarray:
    """Share of rows that have each value; shape (n, k)."""
    ties = np.zeros(places.shape)
    for k, column in enumerate(places.T):
        known = np.isfinite(column)
        _, inverse, counts = np.unique(column[known], return_inverse=True, return_counts=True)
        ties[known, k] = counts[inverse] / max(known.sum(), 1)
    return ties


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
    twins = find_twins(_places(columns, patients), groups)
    roles = _roles(subject.folds)
    pairs = [(ids[a], ids[b]) for a, b in twins.pairs if roles.get(ids[a]) != roles.get(ids[b])]
    if not pairs:
        return
    sure = len(twins.pairs) - twins.strangers
    shown = name_some([f"{a} = {b}" for a, b in pairs], NAMED)
    yield Hit(
        f"About {sure:.0f} {{patients}} are in the table twice, with most values equal and the "
        f"others close: {len(twins.pairs)} pairs are nearer than strangers, {len(pairs)} of them "
        f"on both sides of a fold, for example {shown}.",
        ("patients",),
        float(len(pairs)),
    )


def _roles(folds: Folds) -> dict[str, tuple[int, ...]]:
    """The fold that tests each patient in every repeat."""
    found: dict[str, list[int]] = {}
    for repeat in folds.repeats:
        for patient, fold in folds.tested(repeat).items():
            found.setdefault(str(patient), []).append(int(fold))
    return {patient: tuple(own) for patient, own in found.items()}


def _sample(n: int, seed: int) -> np.ndarray:
    if n <= MOST_PATIENTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, MOST_PATIENTS, replace=False))


def _applies(subject: AuditSubject) -> str:
    if len(_columns(subject)) < MIN_COLUMNS:
        return f"fewer than {MIN_COLUMNS} columns tell {{patients}} apart"
    few = subject.cohort.n_patients < FEWEST_PATIENTS
    return f"fewer than {FEWEST_PATIENTS} {{patients}}" if few else ""


CHECKS = (
    Check(
        "near_duplicates",
        "Same patient under two ids",
        "Closeness of the rows of all pairs of {patients}, in the information of what they agree "
        "in; fires where more pairs are closest than the fall of their number before lets expect, "
        f"{EXCESS:g} times as many and with a probability below {CHANCE:g}.",
        "invalidates",
        "Give each person one id and make the folds anew.",
        _twins,
        _applies,
    ),
)
