"""Folds keep groups together, test everybody once a repeat, and ignore row order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.cohort import freeze_folds, load_folds
from featurestore.cohort.folds import inner_folds, inner_split, make_folds
from featurestore.cohort.groups import patient_groups
from featurestore.errors import DataError
from featurestore.sealed import write_sealed_table


@st.composite
def populations(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, str]]:
    """Patients in small groups, with enough groups of either class for three folds."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=12, max_size=40))
    labels = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
    labels[:10] = [True] * 5 + [False] * 5
    rows = [
        (f"p{g:02d}{k}", f"p{g:02d}0", float(label))
        for g, (size, label) in enumerate(zip(sizes, labels, strict=True))
        for k in range(size)
    ]
    patients = pd.DataFrame(rows, columns=["patient_id", "group", "outcome"])
    return patients, dict(zip(patients["patient_id"], patients["group"], strict=True))


@settings(max_examples=40, deadline=None)
@given(populations(), st.integers(0, 2**31 - 1), st.randoms(use_true_random=False))
def test_outer_folds(
    population: tuple[pd.DataFrame, dict[str, str]], seed: int, shuffle: np.random.Generator
) -> None:
    patients, groups = population
    folds = make_folds(patients, groups, n_folds=3, repeats=2, seed=seed).table
    tests = folds[folds["role"] == "test"]
    for _, tested in tests.groupby("repeat"):
        assert sorted(tested["patient_id"]) == sorted(groups)
    labels = patients.set_index("patient_id")["outcome"]
    for _, part in folds.groupby(["repeat", "fold"]):
        assert sorted(part["patient_id"]) == sorted(groups)
        sides = part.assign(group=part["patient_id"].map(groups)).groupby("group")["role"]
        assert (sides.nunique() == 1).all()
        classes = part.assign(y=part["patient_id"].map(labels)).groupby("role")["y"]
        assert (classes.nunique() == 2).all()
    order = list(range(len(patients)))
    shuffle.shuffle(order)  # type: ignore[arg-type]
    again = make_folds(patients.iloc[order], groups, n_folds=3, repeats=2, seed=seed).table
    pd.testing.assert_frame_equal(again, folds)


def test_repeats_and_seeds_shuffle_anew() -> None:
    patients, groups = plain(60)
    folds = make_folds(patients, groups, 5, 2, seed=0).table
    first, second = (
        part.drop(columns="repeat").reset_index(drop=True) for _, part in folds.groupby("repeat")
    )
    assert not first.equals(second)
    assert not make_folds(patients, groups, 5, 2, seed=1).table.equals(folds)


def plain(n: int) -> tuple[pd.DataFrame, dict[str, str]]:
    ids = [f"p{k:03d}" for k in range(n)]
    patients = pd.DataFrame({"patient_id": ids, "outcome": np.arange(n) % 3 == 0}, dtype=object)
    return patients, dict(zip(ids, ids, strict=True))


def test_events_are_spread_evenly() -> None:
    patients, groups = plain(90)
    folds = make_folds(patients, groups, 5, 1, seed=0).table.merge(patients)
    events = folds[folds["role"] == "test"].groupby("fold")["outcome"].sum()
    assert (events == 6).all()


def test_too_few_events_are_named() -> None:
    patients, groups = plain(9)
    with pytest.raises(DataError, match=r"5 independent groups with the outcome; the 9 .* have 3"):
        make_folds(patients, groups, 5, 1, seed=0)


def test_one_large_group_of_events_is_one_group() -> None:
    patients, groups = plain(30)
    events = patients.loc[patients["outcome"] == True, "patient_id"]  # noqa: E712 - object column
    groups |= dict.fromkeys(events, events.iloc[0])
    with pytest.raises(DataError, match="with the outcome"):
        make_folds(patients, groups, 3, 1, seed=0)


def test_patient_groups_follow_copies_through_several_patients() -> None:
    patients = pd.DataFrame({"patient_id": ["d", "c", "b", "a"], "person_id": ["d", "c", "b", "a"]})
    images = pd.DataFrame(
        {"patient_id": ["c", "b", "b", "d", "d"], "duplicate_cluster": ["1", "1", "2", "2", "3"]}
    )
    assert patient_groups(patients, images) == {"a": "a", "b": "b", "c": "b", "d": "b"}
    assert patient_groups(patients, images.iloc[::-1]) == {"a": "a", "b": "b", "c": "b", "d": "b"}
    assert patient_groups(patients, images.iloc[:0]) == {p: p for p in "abcd"}


def test_observations_of_one_person_stay_together() -> None:
    patients = pd.DataFrame({"patient_id": ["l1", "l2", "l3"], "person_id": ["p", "q", "p"]})
    images = pd.DataFrame({"patient_id": [], "duplicate_cluster": []}, dtype="str")
    assert patient_groups(patients, images) == {"l1": "l1", "l2": "l2", "l3": "l1"}


@settings(max_examples=40, deadline=None)
@given(populations(), st.integers(0, 2**31 - 1), st.floats(0.05, 0.49), st.data())
def test_inner_split(
    population: tuple[pd.DataFrame, dict[str, str]], seed: int, fraction: float, data: st.DataObject
) -> None:
    patients, _ = population
    rows = data.draw(st.permutations(list(range(len(patients))) * 2))  # two images a patient
    ids, groups, y = (patients[c].to_numpy()[rows] for c in ("patient_id", "group", "outcome"))
    mask = inner_split(ids, groups, y, fraction, seed)
    assert not set(groups[mask]) & set(groups[~mask])
    assert set(y[mask]) == set(y[~mask]) == {0.0, 1.0}
    once = patients.to_numpy()
    plain_mask = inner_split(once[:, 0], once[:, 1], once[:, 2].astype(float), fraction, seed)
    assert set(ids[mask]) == set(once[plain_mask, 0])


def test_inner_split_takes_the_fraction_of_each_class() -> None:
    patients, _ = plain(300)
    ids = patients["patient_id"].to_numpy()
    y = patients["outcome"].to_numpy(dtype=float)
    mask = inner_split(ids, ids, y, 0.2, seed=3)
    assert (int(y[mask].sum()), int(mask.sum())) == (20, 60)


def test_inner_split_needs_two_groups_of_each_class() -> None:
    ids = np.array(["a", "b", "c"])
    with pytest.raises(DataError, match=r"1 group\(s\) of patients with outcome 1"):
        inner_split(ids, ids, np.array([1.0, 0.0, 0.0]), 0.3, seed=0)


@settings(max_examples=25, deadline=None)
@given(populations(), st.integers(0, 2**31 - 1))
def test_inner_folds(population: tuple[pd.DataFrame, dict[str, str]], seed: int) -> None:
    patients, _ = population
    twice = pd.concat([patients, patients.iloc[::-1]])
    ids, groups, y = (twice[c].to_numpy() for c in ("patient_id", "group", "outcome"))
    splits = inner_folds(ids, groups, y, 3, seed)
    validated = np.concatenate([validation for _, validation in splits])
    assert sorted(validated) == list(range(len(ids)))
    for train, validation in splits:
        assert sorted([*train, *validation]) == list(range(len(ids)))
        assert not set(groups[train]) & set(groups[validation])
        assert set(y[train]) == set(y[validation]) == {0.0, 1.0}
    back = inner_folds(ids[::-1], groups[::-1], y[::-1], 3, seed)
    assert [set(ids[::-1][v]) for _, v in back] == [set(ids[v]) for _, v in splits]


def test_frozen_folds_come_back_only_for_their_cohort(tmp_path: Path) -> None:
    folds = make_folds(*plain(30), 3, 1, seed=0)
    path = tmp_path / "new" / "folds.parquet"
    freeze_folds(folds, "abc", path)
    pd.testing.assert_frame_equal(load_folds(path, "abc").table, folds.table)
    assert load_folds(path, "other") is None
    assert {p.name for p in path.parent.iterdir() if not p.name.startswith(".")} == {
        "folds.parquet",
        "folds.parquet.sha256",
    }


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "folds.parquet"
    freeze_folds(make_folds(*plain(30), 3, 1, seed=0), "abc", path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"is damaged: .*; delete the file"):
        load_folds(path, "abc")
    write_sealed_table(path, pd.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="not a file of frozen folds"):
        load_folds(path, "abc")
