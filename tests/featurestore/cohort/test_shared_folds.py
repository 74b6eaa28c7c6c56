"""Folds that several studies share: one assignment of everyone, fair to every outcome."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore.cohort import make_folds, make_shared_folds, require_both_sides
from featurestore.cohort.folds import Folds
from featurestore.errors import DataError

Studies = dict[str, pd.DataFrame]


def study(known: dict[str, float]) -> pd.DataFrame:
    """The patients table of an outcome: those of whom it is known."""
    rows = [(patient, value) for patient, value in known.items() if value == value]
    return pd.DataFrame(rows, columns=["patient_id", "outcome"])


@st.composite
def populations(draw: st.DrawFn) -> tuple[Studies, dict[str, str]]:
    """Two outcomes of patients in groups of one or two, each unknown for some."""
    sizes = draw(st.lists(st.integers(1, 2), min_size=16, max_size=30))
    groups = {f"p{g:02d}{k}": f"p{g:02d}0" for g, size in enumerate(sizes) for k in range(size)}
    states = st.sampled_from([0.0, 1.0, float("nan")])
    studies = {}
    for name, shift in (("first", 0), ("second", 4)):
        known = {patient: draw(states) for patient in groups}
        for g in range(shift, shift + 12):  # six groups with it and six without at the least
            known[f"p{g:02d}0"] = float(g % 2)
        studies[name] = study(known)
    return studies, groups


@settings(max_examples=15, deadline=None)
@given(populations(), st.integers(0, 2**31 - 1), st.randoms(use_true_random=False))
def test_everyone_is_in_one_fold_whatever_is_asked(
    population: tuple[Studies, dict[str, str]], seed: int, shuffle: np.random.Generator
) -> None:
    studies, groups = population
    shared = make_shared_folds(studies, groups, 3, 2, seed)
    everyone = set().union(*(table["patient_id"] for table in studies.values()))
    for repeat in (0, 1):
        tested = shared.tested(repeat)
        assert set(tested.index) == everyone
        assert tested.index.is_unique
        assert (tested.groupby(tested.index.map(groups)).nunique() == 1).all()
    for table in studies.values():
        own = shared.among(set(table["patient_id"]))
        assert own.patients == set(table["patient_id"])
        seen = table.set_index("patient_id")["outcome"]
        for key in own.keys:
            for side in (own.training(key), own.test(key)):
                assert set(seen.loc[list(side)]) == {0.0, 1.0}
    order = list(range(len(studies["first"])))
    shuffle.shuffle(order)  # type: ignore[arg-type]
    turned = {"second": studies["second"], "first": studies["first"].iloc[order]}
    again = make_shared_folds(turned, groups, 3, 2, seed)
    pd.testing.assert_frame_equal(again.table, shared.table)


def test_the_folds_of_one_study_are_those_it_would_have_alone() -> None:
    table = study({f"p{k:03d}": float(k % 3 == 0) for k in range(60)})
    groups = {patient: patient for patient in table["patient_id"]}
    alone = make_folds(table, groups, 5, 2, seed=3)
    shared = make_shared_folds({"only": table}, groups, 5, 2, seed=3)
    pd.testing.assert_frame_equal(shared.table, alone.table)


def test_combinations_are_spread_and_a_rare_one_goes_with_its_rarest_outcome() -> None:
    """40 benign, 20 carcinomas, 9 melanomas and one patient of a combination of its own."""
    kinds = ["benign"] * 40 + ["carcinoma"] * 20 + ["melanoma"] * 9 + ["odd"]
    ids = [f"p{k:03d}" for k in range(len(kinds))]
    by_kind = pd.Series(kinds, index=ids)
    malignant = by_kind.map({"benign": 0.0, "carcinoma": 1.0, "melanoma": 1.0, "odd": np.nan})
    melanoma = by_kind.map({"benign": 0.0, "carcinoma": 0.0, "melanoma": 1.0, "odd": 1.0})
    studies = {"malignant": study(dict(malignant)), "melanoma": study(dict(melanoma))}
    folds = make_shared_folds(studies, {i: i for i in ids}, 5, 1, seed=0)
    counts = pd.crosstab(by_kind.replace({"odd": "melanoma"}), folds.tested(0))
    assert counts.to_numpy().tolist() == [[8] * 5, [4] * 5, [2] * 5]


def test_an_outcome_that_is_too_rare_is_named() -> None:
    common = study({f"p{k}": float(k % 2) for k in range(20)})
    rare = study({f"p{k}": float(k < 2) for k in range(20)})
    groups = {patient: patient for patient in common["patient_id"]}
    with pytest.raises(DataError, match=r"with the outcome; the 20 patients of rare have 2"):
        make_shared_folds({"common": common, "rare": rare}, groups, 3, 1, seed=0)


def test_folds_that_lost_an_outcome_are_refused() -> None:
    table = study({f"p{k}": float(k % 2) for k in range(12)})
    groups = {patient: patient for patient in table["patient_id"]}
    folds = make_shared_folds({"it": table}, groups, 2, 1, seed=0)
    require_both_sides(folds, table, "it")
    events = table.loc[table["outcome"] == 1, "patient_id"]
    in_first = [p for p in events if p in folds.test((0, 0))]
    left = table[~table["patient_id"].isin(in_first)]
    with pytest.raises(DataError, match=r"part of fold 0 \(repeat 0\) with one state of it only"):
        require_both_sides(folds.among(set(left["patient_id"])), left, "it")
    assert Folds(folds.table).among(set()).patients == frozenset()
