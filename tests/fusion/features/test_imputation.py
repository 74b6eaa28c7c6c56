"""Imputed values are ones that a column can have, follow the others, and vary as they should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from featurestore.tables.dictionary import Column
from featurestore.tables.vocabulary import VOCABULARY
from fusion.features.imputation import ColumnImputer

COLUMNS = (
    Column("age", "numeric", "demographic"),
    Column("breslow", "numeric", "histopathology"),
    Column("ulceration", "binary", "histopathology"),
    VOCABULARY["t_stage"].column,
    Column("site", "nominal", "lesion"),
)


def frame(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Thickness decides T and ulceration; a third of each of T, ulceration and site is missing."""
    rng = np.random.default_rng(seed)
    thick = np.exp(rng.normal(size=n))
    stages = np.array(["T1", "T2", "T3", "T4"], dtype=object)[np.digitize(thick, [1, 2, 4])]
    stages[:5] = "T0"
    table = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "breslow": thick,
            "ulceration": (np.log(thick) + 0.5 * rng.normal(size=n) > 0).astype(float),
            "t_stage": pd.Series(stages, dtype="str"),
            "site": pd.Series(np.where(thick > 1, "trunk", "limb"), dtype="str"),
        }
    )
    for name in ("ulceration", "t_stage", "site"):
        table.loc[rng.permutation(n)[: n // 3], name] = None
    return table.set_axis([f"P{k:03d}" for k in range(n)])


def completed(seed: int, of: pd.DataFrame | None = None) -> pd.DataFrame:
    training = frame()
    imputer = ColumnImputer(COLUMNS, seed).fit(training, training.index.to_numpy())
    return imputer.transform(training if of is None else of)


def test_gaps_are_filled_with_values_that_the_columns_have_and_the_rest_stays() -> None:
    before, after = frame(), completed(1)
    assert after.notna().all(axis=None)
    for name in before.columns:
        known = before[name].notna()
        assert (after.loc[known, name] == before.loc[known, name]).all(), name
    assert set(after["ulceration"]) == {0.0, 1.0}
    finest = {"Tis", "T1a", "T1b", "T2a", "T2b", "T3a", "T3b", "T4a", "T4b"}
    drawn = after.loc[before["t_stage"].isna(), "t_stage"]
    assert set(drawn) <= finest
    assert (after["t_stage"] == "T0").sum() == (before["t_stage"] == "T0").sum() > 0
    assert set(after["site"]) == {"trunk", "limb"}


def test_draws_follow_the_other_columns() -> None:
    before, after = frame(), completed(1)
    gone = before["ulceration"].isna()
    thick = after.loc[gone, "breslow"] > 2
    share = after.loc[gone, "ulceration"].groupby(thick).mean()
    assert share[True] > share[False] + 0.3
    sites = after.loc[before["site"].isna()]
    agree = (sites["site"] == "trunk") == (sites["breslow"] > 1)
    assert 0.7 < agree.mean() < 1, "drawn, and not set to the likeliest"


def test_another_seed_draws_otherwise_and_the_same_seed_the_same() -> None:
    gone = frame()["t_stage"].isna()
    one, again, other = completed(1), completed(1), completed(2)
    pd.testing.assert_frame_equal(one, again)
    assert (one.loc[gone, "t_stage"] != other.loc[gone, "t_stage"]).mean() > 0.2


def test_a_share_is_drawn_with_its_spread() -> None:
    """Without anything to go by, an unknown yes or no is drawn about as often as it is known."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"age": rng.normal(size=2000), "ulceration": rng.random(2000) < 0.3})
    table = table.astype(float)
    table.loc[:999, "ulceration"] = np.nan
    columns = (COLUMNS[0], COLUMNS[2])
    found = ColumnImputer(columns, 0).fit(table, table.index.to_numpy()).transform(table)
    assert found.loc[:999, "ulceration"].mean() == pytest.approx(0.33, abs=0.05)


def test_numbers_stay_in_the_range_of_training() -> None:
    training = frame()
    training.loc[training.index[:100], "breslow"] = np.nan
    found = ColumnImputer(COLUMNS, 0).fit(training, training.index.to_numpy()).transform(training)
    known = training["breslow"].dropna()
    assert found["breslow"].between(known.min() - 1e-9, known.max() + 1e-9).all()
    drawn = found.loc[training["breslow"].isna(), "breslow"]
    assert drawn.median() == pytest.approx(known.median(), rel=0.4)


def test_a_gap_that_training_did_not_have_and_a_column_that_it_did_not_know() -> None:
    training = frame().assign(unknown=np.nan)
    columns = (*COLUMNS, Column("unknown", "numeric", "demographic"))
    imputer = ColumnImputer(columns, 0).fit(training, training.index.to_numpy())
    found = imputer.transform(training.iloc[:3].assign(age=np.nan))
    assert found["age"].notna().all()
    assert found["unknown"].isna().all()
    assert len(imputer.transform(training.iloc[:0])) == 0
    nothing = training[["unknown"]]
    imputer = ColumnImputer(columns[-1:], 0).fit(nothing, nothing.index.to_numpy())
    pd.testing.assert_frame_equal(imputer.transform(nothing), nothing)
