"""The baseline among parts of the patients: by sex, age, body site and source site."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort
from featurestore.errors import ConfigError
from fusion.evidence.aligned import AlignedPredictions
from fusion.evidence.among import sample_among
from fusion.metrics import Estimate, draw_weights

LEAST = 10
"""Patients with the outcome, and without it, below which a subgroup has no numbers."""

AGE_BANDS = (50.0, 65.0)
"""Ages at which the bands of numeric column `age` begin."""

MOST_LEVELS = 12
"""Levels of a column that are shown; the rest is together."""

SITE = "site"
"""Name of the source site, which is no column of the dictionary."""

DEFAULTS = ("sex", "age", "body_site", "anatomical_site", "tumour_site", SITE)

_METRICS = ("auroc", "brier", "calibration_intercept")


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """One level of one column.

    Attributes:
        name: Name of the column, or `SITE`.
        column: Its name for people.
        level: Which of its values.
        n: Patients.
        events: Patients with the outcome.
        metrics: By name with interval; empty where there are fewer than `LEAST` patients with or
            without the outcome.
    """

    name: str
    column: str
    level: str
    n: int
    events: int
    metrics: dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Part:
    """Patients of one level of one column.

    Attributes:
        name: As in `Subgroup`, like `column` and `level`.
        member: Who they are. Shape (patients,).
    """

    name: str
    column: str
    level: str
    member: np.ndarray

    @property
    def n(self) -> int:
        """Patients."""
        return int(self.member.sum())


def subgroups(
    cohort: Cohort,
    aligned: AlignedPredictions,
    arm: str,
    clusters: np.ndarray,
    draws: int,
    seed: int,
    columns: Sequence[str] | None = None,
) -> tuple[Subgroup, ...]:
    """Scores one arm by subgroup, under the draws that all other intervals share.

    Args:
        cohort: Whose patients are parted.
        aligned: Predictions.
        arm: Name of the arm.
        clusters: Cluster of each patient. Shape (patients,).
        draws: Bootstrap draws.
        seed: Of the draws.
        columns: Names of patient columns, or `site`; by default those of `DEFAULTS` that the
            cohort has.

    Raises:
        ConfigError: A named column is not in the cohort.
    """
    parts = parts_of(cohort, aligned.patient_ids, columns)
    if not parts:
        return ()
    weights = draw_weights(clusters, draws, seed)
    found = []
    for part in parts:
        events = int(aligned.y[part.member].sum())
        enough = min(events, part.n - events) >= LEAST
        scored = {
            m: sample_among(aligned.y, aligned[arm], m, part.member, weights, clusters).estimate
            for m in (_METRICS if enough else ())
        }
        found.append(Subgroup(part.name, part.column, part.level, part.n, events, scored))
    return tuple(found)


def require_columns_of(cohort: Cohort, columns: Sequence[str]) -> None:
    """Refuses names by which patients cannot be parted.

    Raises:
        ConfigError: A name is no patient column of the cohort.
    """
    known = [*cohort.dictionary.names, SITE]
    for name in columns:
        if name not in known:
            raise ConfigError(
                f"ablation.subgroups: no patient column {name!r}; known: {', '.join(known)}"
            )


def parts_of(cohort: Cohort, patient_ids: np.ndarray, columns: Sequence[str] | None) -> list[Part]:
    """Parts the patients by every column that tells them apart.

    Args:
        cohort: Whose columns these are.
        patient_ids: Shape (patients,).
        columns: As for `subgroups`.

    Raises:
        ConfigError: A named column is not in the cohort.
    """
    patients = cohort.patients.set_index("patient_id").loc[patient_ids]
    return list(_parts(cohort, patients, columns))


def _parts(cohort: Cohort, patients: pd.DataFrame, columns: Sequence[str] | None) -> Iterator[Part]:
    known = {c.name: c for c in cohort.dictionary}
    require_columns_of(cohort, columns or ())
    for name in DEFAULTS if columns is None else columns:
        if name not in patients.columns or (name not in known and name != SITE):
            continue
        column = known.get(name)
        label = "Source site" if column is None else (column.label or column.name)
        values = patients[name]
        numeric = column is not None and column.kind in ("numeric", "expression")
        levels = _bands(values, name) if numeric else _levels(values)
        if len(set(levels)) < 2:
            continue
        for level in sorted(set(levels), key=_order):
            yield Part(name, label, level, levels == level)


def _order(level: str) -> tuple[int, str]:
    """By name, bands by their place, what is no level last."""
    last = {"other": 1, "missing": 2}.get(level, 0)
    return last, level.replace("<", " ", 1) if level.startswith("<") else level


def _levels(values: pd.Series) -> np.ndarray:
    words = values.map(lambda v: {0.0: "no", 1.0: "yes"}.get(v, str(v)), na_action="ignore")
    common = words.value_counts().index[:MOST_LEVELS]
    kept = words.where(words.isin(common) | words.isna(), "other")
    return kept.astype("object").where(words.notna(), "missing").to_numpy(dtype=object)


def _bands(values: pd.Series, name: str) -> np.ndarray:
    numbers = values.astype(float)
    edges = np.array(AGE_BANDS if name == "age" else np.nanquantile(numbers, [1 / 3, 2 / 3]))
    words = [f"< {edges[0]:g}", f"{edges[0]:g} to < {edges[1]:g}", f"≥ {edges[1]:g}"]
    bands = np.array([words[i] for i in np.searchsorted(edges, numbers, side="right") % 3], object)
    bands[numbers.isna()] = "missing"
    return bands
