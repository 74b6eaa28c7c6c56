"""The only place that makes folds: grouped, stratified, repeated, independent of row order.

Patients are sorted by id before anything is drawn, so the same patients, groups and seed give the
same folds however the tables are ordered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.outcomes import EVENT, TIME
from featurestore.outcomes.target import Kind

FOLD_COLUMNS = ("repeat", "fold", "patient_id", "role")
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

    def among(self, patients: Collection[str]) -> Folds:
        """The same assignment of some of the patients."""
        return Folds(self.table[self.table["patient_id"].isin(patients)].reset_index(drop=True))

    @cached_property
    def _sides(self) -> dict[tuple[int, int, str], tuple[str, ...]]:
        sides: dict[tuple[int, int, str], list[str]] = {}
        rows = self.table[["repeat", "fold", "role", "patient_id"]]
        for repeat, fold, role, patient in rows.itertuples(index=False, name=None):
            sides.setdefault((int(repeat), int(fold), role), []).append(patient)
        return {side: tuple(sorted(ids)) for side, ids in sides.items()}


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
    who = (what, _kind(people))
    of_group = np.array([groups[patient] for patient in ids], dtype=object)
    return _assigned(
        ids,
        (
            _stratified_folds(of_group, seen, n_folds, _derived_seed(seed, repeat), who)
            for repeat in range(repeats)
        ),
    )


def make_shared_folds(
    studies: Mapping[str, pd.DataFrame],
    groups: Mapping[str, str],
    n_folds: int,
    repeats: int,
    seed: int,
    what: str = "patients",
) -> Folds:
    """Splits the patients of several studies into outer folds that all of them share.

    Folds are stratified by the combination of outcomes (seen, not seen, not known). A combination
    of fewer groups than folds cannot be spread: its patients count to the most common combination
    with the same rarest outcome, or without any.

    Args:
        studies: By name of the outcome the patients table of its study, as `make_folds` takes it.
        groups: Group of each patient of any study; a group is never split.
        n_folds: Folds a repeat.
        repeats: Repeats with other shuffles.
        seed: Seed of the shuffles.
        what: What patients are, in words.

    Returns:
        Everyone of any study is in the test part of exactly one fold a repeat; `Folds.among` are
        the folds of one study.

    Raises:
        DataError: An outcome has too few groups with it, or without, for so many folds.
    """
    ids = np.array(sorted(set().union(*(t["patient_id"] for t in studies.values()))), dtype=object)
    of_group = np.array([groups[patient] for patient in ids], dtype=object)
    known = {}
    for name, patients in studies.items():
        seen = (patients["outcome"] == EVENT).set_axis(patients["patient_id"].to_numpy())
        known[name] = seen.astype(float).reindex(ids).to_numpy()
        inside = ~np.isnan(known[name])
        words = (f"{what} of {name}", _kind(patients))
        _require_groups(of_group[inside], known[name][inside] == 1.0, n_folds, words)
    strata = _strata(known, of_group, n_folds)
    drawn: list[list[np.ndarray]] = []
    for repeat in range(repeats):
        for attempt in range(_SHUFFLES):  # a rare outcome may end up in too few folds
            stream = repeat + attempt * _NEXT_SHUFFLE
            masks = _split(of_group, strata, n_folds, _derived_seed(seed, stream))
            folds = _assigned(ids, [*drawn, masks])
            lacking = [name for name, table in studies.items() if _lacking(folds, table)]
            if not lacking:
                break
        drawn.append(masks)
    for name, patients in studies.items():
        require_both_sides(folds.among(set(patients["patient_id"])), patients, name)
    return folds


_SHUFFLES, _NEXT_SHUFFLE = 20, 1_000_000


def require_both_sides(folds: Folds, patients: pd.DataFrame, name: str) -> None:
    """Refuses folds that leave a part of a study with one outcome only.

    Args:
        folds: The study's own folds.
        patients: Its patients table.
        name: Its outcome.

    Raises:
        DataError: A part lacks patients with, or without, the outcome.
    """
    for repeat, fold in _lacking(folds, patients):
        raise DataError(
            f"the folds that all outcomes share leave a part of fold {fold} (repeat {repeat}) with "
            f"one state of {name} only; use fewer folds, or take {name} out"
        )


def _lacking(folds: Folds, patients: pd.DataFrame) -> list[FoldKey]:
    """Folds of which a side holds no patient of a study with, or without, its outcome."""
    seen = dict(zip(patients["patient_id"], patients["outcome"] == EVENT, strict=True))
    needed = set(_NEEDED[_kind(patients)])
    return [
        key
        for key in folds.keys
        for side in (folds.training(key), folds.test(key))
        if not needed <= {seen[patient] for patient in side if patient in seen}
    ]


def _strata(known: Mapping[str, np.ndarray], groups: np.ndarray, n_folds: int) -> np.ndarray:
    """Stratum of each patient, as a number; `known` is 1, 0 or NaN of each outcome."""
    rarest = sorted(known, key=lambda name: (np.nansum(known[name]), name))
    table = pd.DataFrame({name: known[name] for name in rarest}).fillna(-1.0)
    has = table.eq(1.0)
    rarest_seen = has.idxmax(axis=1).where(has.any(axis=1), "")
    stratum = table.astype(int).astype("str").agg(" ".join, axis=1)
    sizes = pd.Series(groups).groupby(stratum).nunique()
    large = sizes[sizes >= n_folds].sort_values(ascending=False, kind="stable").index
    for name in ("", *rarest):
        alike = rarest_seen == name
        hosts = [one for one in large if (stratum[alike] == one).any()]
        stratum = stratum.mask(alike & ~stratum.isin(large), hosts[0] if hosts else name)
    sizes = pd.Series(groups).groupby(stratum).nunique()
    small = stratum.map(sizes) < n_folds
    return pd.factorize(stratum.mask(small, sizes.idxmax()), sort=True)[0]


def _kind(patients: pd.DataFrame) -> Kind:
    return "time_to_event" if TIME in patients.columns else "binary"


def _assigned(ids: np.ndarray, repeats: Iterable[list[np.ndarray]]) -> Folds:
    """Folds out of the test masks of each repeat over patients in this order."""
    parts = [
        pd.DataFrame(
            {
                "repeat": repeat,
                "fold": fold,
                "patient_id": ids,
                "role": np.where(test, "test", "train"),
            }
        )
        for repeat, splits in enumerate(repeats)
        for fold, test in enumerate(splits)
    ]
    table = pd.concat(parts, ignore_index=True)
    return Folds(table.astype({"patient_id": "str", "role": "str"}))


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
    _require_groups(groups, seen, n_folds, who)
    masks = _split(groups, seen.astype(float), n_folds, seed)
    for k, mask in enumerate(masks):
        if not all(set(_NEEDED[kind]) <= set(seen[side]) for side in (mask, ~mask)):
            raise DataError(
                f"{n_folds} folds leave a part of fold {k} with one outcome only, because "
                f"groups of the {len(seen)} {words} are large; use fewer folds"
            )
    return masks


def _require_groups(
    groups: np.ndarray, seen: np.ndarray, n_folds: int, who: tuple[str, Kind]
) -> None:
    words, kind = who
    for label in _NEEDED[kind]:
        having = len(set(groups[seen == label]))
        if having < n_folds:
            raise DataError(
                f"{n_folds} folds need {n_folds} independent groups "
                f"{'with' if label else 'without'} the outcome; the {len(seen)} {words} have "
                f"{having}; use fewer folds or more data"
            )


def _split(groups: np.ndarray, strata: np.ndarray, n_folds: int, seed: int) -> list[np.ndarray]:
    """Test masks of a grouped split that spreads every stratum over the folds."""
    from featurestore.cohort.splitting import GroupedFolds  # here: who reads folds splits none

    splitter = GroupedFolds(n_splits=n_folds, shuffle=True, random_state=seed)
    masks = []
    for _, test in splitter.split(np.zeros(len(strata)), strata, groups):
        mask = np.zeros(len(strata), dtype=bool)
        mask[test] = True
        masks.append(mask)
    return masks


def _derived_seed(seed: int, stream: int) -> int:
    return int(np.random.SeedSequence([seed, stream]).generate_state(1)[0])
