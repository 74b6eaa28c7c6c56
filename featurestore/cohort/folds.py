"""The only place that makes folds: grouped, stratified, repeated, independent of row order.

Patients are sorted by id before anything is drawn, so the same patients, groups and seed give the
same folds however the tables are ordered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from featurestore.errors import DataError
from featurestore.outcomes import EVENT, TIME
from featurestore.outcomes.target import Kind
from featurestore.sealed import read_sealed_arrow, sealing

FOLD_COLUMNS = ("repeat", "fold", "patient_id", "role")
_DIGEST_KEY = b"melafuse_cohort_digest"
_NEEDED: dict[Kind, tuple[bool, ...]] = {"binary": (True, False), "time_to_event": (True,)}
"""By kind of the outcome: who must stand on both sides of a split, those with it or without."""

FoldKey = tuple[int, int]
"""Repeat and outer fold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """Outer folds: who is learned from and who is tested, in each fold of each repeat.

    Nothing is checked here: the audit must be able to look at folds that are wrong.

    Attributes:
        table: `FOLD_COLUMNS`, one row a patient, fold and repeat; row order means nothing.
    """

    table: pd.DataFrame

    @cached_property
    def keys(self) -> tuple[FoldKey, ...]:
        """Repeat and fold of every outer fold, in order."""
        return tuple(sorted({(repeat, fold) for repeat, fold, _ in self._sides}))

    @property
    def repeats(self) -> tuple[int, ...]:
        """Repeats, in order."""
        return tuple(dict.fromkeys(repeat for repeat, _ in self.keys))

    @cached_property
    def patients(self) -> frozenset[str]:
        """Everyone who stands in any fold."""
        return frozenset(self.table["patient_id"])

    def training(self, key: FoldKey) -> tuple[str, ...]:
        """Patients that may be learned from in a fold, sorted."""
        return self._sides.get((*key, "train"), ())

    def test(self, key: FoldKey) -> tuple[str, ...]:
        """Patients that are predicted in a fold, sorted."""
        return self._sides.get((*key, "test"), ())

    def tested(self, repeat: int) -> pd.Series:
        """The fold that tests each patient in a repeat, by patient id; sorted by it."""
        rows = self.table[(self.table["repeat"] == repeat) & (self.table["role"] == "test")]
        return rows.set_index("patient_id")["fold"].sort_index()

    @cached_property
    def _sides(self) -> dict[tuple[int, int, str], tuple[str, ...]]:
        sides: dict[tuple[int, int, str], list[str]] = {}
        rows = self.table[["repeat", "fold", "role", "patient_id"]]
        for repeat, fold, role, patient in rows.itertuples(index=False, name=None):
            sides.setdefault((int(repeat), int(fold), role), []).append(patient)
        return {side: tuple(sorted(ids)) for side, ids in sides.items()}


def patient_groups(patients: pd.DataFrame, images: pd.DataFrame) -> dict[str, str]:
    """Finds the patients that must stay together: of one person, image or clinical row.

    Args:
        patients: Patients table with `patient_id` and `person_id`, and `donor_id` where rows were
            lent.
        images: Images table with `patient_id` and `duplicate_cluster`.

    Returns:
        The group of each patient: the smallest patient id of its connected component in the graph
        of patients, persons, duplicate clusters and donors.
    """
    ids = sorted(patients["patient_id"])
    position = {patient: k for k, patient in enumerate(ids)}
    persons = patients[["patient_id", "person_id"]].set_axis(["patient_id", "tie"], axis=1)
    ties = [
        images[["patient_id", "duplicate_cluster"]].set_axis(["patient_id", "tie"], axis=1),
        persons.assign(tie="person " + persons["tie"].astype("str")),
    ]
    if "donor_id" in patients.columns:
        lent = patients[["patient_id", "donor_id"]].set_axis(["patient_id", "tie"], axis=1)
        ties.append(lent.assign(tie="donor " + lent["tie"]))
    edges = pd.concat(ties, ignore_index=True)
    shared, _ = pd.factorize(edges["tie"])
    rows = edges["patient_id"].map(position).to_numpy()
    n_nodes = len(ids) + (int(shared.max()) + 1 if len(shared) else 0)
    graph = coo_array((np.ones(len(rows)), (rows, len(ids) + shared)), shape=(n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for k, patient in enumerate(ids):
        smallest.setdefault(int(component[k]), patient)
    return {patient: smallest[int(component[k])] for k, patient in enumerate(ids)}


def make_folds(
    patients: pd.DataFrame,
    groups: Mapping[str, str],
    n_folds: int,
    repeats: int,
    seed: int,
    what: str = "patients",
) -> Folds:
    """Splits patients into outer folds.

    Args:
        patients: Patients table with `patient_id` and `outcome`. Folds are stratified by whether
            the outcome was seen; where it has times, they need nobody without it.
        groups: Group of each patient; a group is never split.
        n_folds: Folds a repeat.
        repeats: Repeats with other shuffles.
        seed: Seed of the shuffles.
        what: What patients are, in words.

    Returns:
        Every patient is in the test part of exactly one fold a repeat, and in the training part
        of the others.

    Raises:
        DataError: There are too few groups with, or without, the outcome for so many folds.
    """
    people = patients.sort_values("patient_id")
    ids = people["patient_id"].to_numpy(dtype=object)
    seen = (people["outcome"] == EVENT).to_numpy()
    kind: Kind = "time_to_event" if TIME in people.columns else "binary"
    of_group = np.array([groups[patient] for patient in ids], dtype=object)
    parts = []
    for repeat in range(repeats):
        drawn = _derived_seed(seed, repeat)
        splits = _stratified_folds(of_group, seen, n_folds, drawn, (what, kind))
        for fold, test in enumerate(splits):
            role = np.where(test, "test", "train")
            parts.append(
                pd.DataFrame({"repeat": repeat, "fold": fold, "patient_id": ids, "role": role})
            )
    table = pd.concat(parts, ignore_index=True)
    return Folds(table.astype({"patient_id": "str", "role": "str"}))


def freeze_folds(folds: Folds, cohort_digest: str, path: Path) -> None:
    """Writes folds to a Parquet file that remembers what they were made for.

    Args:
        folds: What `make_folds` made.
        cohort_digest: Digest of the cohort and of the settings of the split.
        path: The file; it appears whole or not at all.
    """
    table = pa.Table.from_pandas(folds.table, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _DIGEST_KEY: cohort_digest.encode()}
    with sealing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary)


def load_folds(path: Path, cohort_digest: str) -> Folds | None:
    """Reads frozen folds.

    Returns:
        The folds, or None if they were frozen for another cohort or split.

    Raises:
        DataError: The file is damaged or holds no folds.
    """
    try:
        table = read_sealed_arrow(path, "delete the file, and the same folds are made anew")
    except OSError as error:
        raise DataError(f"{path}: cannot read the folds ({error.strerror or error})") from None
    frozen_for = (table.schema.metadata or {}).get(_DIGEST_KEY)
    if frozen_for is None or not set(FOLD_COLUMNS) <= set(table.column_names):
        raise DataError(f"{path}: not a file of frozen folds; delete it or name another folder")
    if frozen_for.decode() != cohort_digest:
        return None
    read = table.to_pandas()[list(FOLD_COLUMNS)]
    return Folds(read.astype({"patient_id": "str", "role": "str"}))


def inner_split(
    patient_ids: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    fraction: float,
    seed: int,
    kind: Kind = "binary",
) -> np.ndarray:
    """Sets a validation part aside inside a training part.

    Groups are stratified by whether any of their patients has the outcome.

    Args:
        patient_ids: Patient of each row. Shape (n,).
        groups: Group of each row; a group is never split. Shape (n,).
        y: Outcome of each row's patient, 1.0 where it was seen (`Target.event`). Shape (n,).
        fraction: Share of the groups of each stratum that validates, in (0, 1).
        seed: Seed of the draw.
        kind: Kind of the outcome; one with times needs nobody without it.

    Returns:
        Boolean mask of the validation rows; both sides hold both classes (of times to an event:
        the event). Shape (n,).

    Raises:
        DataError: A class that is needed has fewer than two groups.
    """
    people = _people(patient_ids, groups, y)
    positive = people.groupby("group")["seen"].max()  # sorted by group name
    rng = np.random.default_rng(_derived_seed(seed, 0))
    validating: set[object] = set()
    for label in (False, True):
        names = positive.index[positive == label].to_numpy()
        if len(names) < 2 and label not in _NEEDED[kind]:
            continue
        if len(names) < 2:
            raise DataError(
                f"cannot set a validation part aside: the training part has {len(names)} "
                f"group(s) of patients with outcome {label:d}, it needs 2"
            )
        count = min(max(round(fraction * len(names)), 1), len(names) - 1)
        validating.update(rng.permutation(names)[:count])
    return np.fromiter((group in validating for group in groups), dtype=bool, count=len(groups))


def inner_folds(
    patient_ids: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    n_folds: int,
    seed: int,
    kind: Kind = "binary",
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits a training part into inner folds, grouped and stratified.

    Args:
        patient_ids: Patient of each row. Shape (n,).
        groups: Group of each row; a group is never split. Shape (n,).
        y: Outcome of each row's patient, 1.0 where it was seen (`Target.event`). Shape (n,).
        n_folds: Number of folds.
        seed: Seed of the shuffle.
        kind: Kind of the outcome; one with times needs nobody without it.

    Returns:
        For each fold the integer rows of its training and of its validation part.

    Raises:
        DataError: There are too few groups with, or without, the outcome for so many folds.
    """
    people = _people(patient_ids, groups, y)
    splits = _stratified_folds(
        people["group"].to_numpy(dtype=object),
        people["seen"].to_numpy(),
        n_folds,
        _derived_seed(seed, 1),
        ("inner training patients", kind),
    )
    result = []
    for test in splits:
        held_out = set(people.index[test])
        mask = np.fromiter((p in held_out for p in patient_ids), dtype=bool, count=len(groups))
        result.append((np.flatnonzero(~mask), np.flatnonzero(mask)))
    return result


def _people(patient_ids: np.ndarray, groups: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """One row a patient (sorted index) with group and whether the outcome was seen."""
    seen = np.asarray(y, dtype=float) == EVENT
    rows = pd.DataFrame({"patient_id": patient_ids, "group": groups, "seen": seen}, dtype=object)
    people = rows.drop_duplicates("patient_id").set_index("patient_id").sort_index()
    return people.astype({"seen": bool})


def _stratified_folds(
    groups: np.ndarray, seen: np.ndarray, n_folds: int, seed: int, who: tuple[str, Kind]
) -> list[np.ndarray]:
    """Test masks of a grouped, stratified split of patients in sorted order."""
    words, kind = who
    for label in _NEEDED[kind]:
        having = len(set(groups[seen == label]))
        if having < n_folds:
            raise DataError(
                f"{n_folds} folds need {n_folds} independent groups of patients "
                f"{'with' if label else 'without'} the outcome; the {len(seen)} {words} have "
                f"{having}; use fewer folds or more patients"
            )
    from featurestore.cohort.splitting import GroupedFolds  # here: who reads folds splits none

    splitter = GroupedFolds(n_splits=n_folds, shuffle=True, random_state=seed)
    masks = []
    for _, test in splitter.split(np.zeros(len(seen)), seen.astype(float), groups):
        mask = np.zeros(len(seen), dtype=bool)
        mask[test] = True
        masks.append(mask)
    for k, mask in enumerate(masks):
        if not all(set(_NEEDED[kind]) <= set(seen[side]) for side in (mask, ~mask)):
            raise DataError(
                f"{n_folds} folds leave a part of fold {k} with one outcome only, because "
                f"groups of the {len(seen)} {words} are large; use fewer folds"
            )
    return masks


def _derived_seed(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])
