"""Of several rows the first known value is taken, and every disagreement is reported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.tables.merging import disagree, first_known

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 99), st.sampled_from([None, 1.0, 2.0])),
    min_size=1,
    unique_by=lambda row: row[1],
)


@given(ROWS, st.randoms(use_true_random=False))
def test_first_known_equals_a_plain_loop(
    rows: list[tuple[str, int, float | None]], random: np.random.Generator
) -> None:
    expected: dict[str, float | None] = {}
    values: dict[str, set[float]] = {}
    for key, _, value in sorted(rows, key=lambda row: row[1]):
        if value is not None:
            values.setdefault(key, set()).add(value)
        if expected.get(key) is None:
            expected[key] = value
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[arg-type]
    table = pd.DataFrame(shuffled, columns=["key", "rank", "x"]).astype({"x": float})
    merged, conflicts = first_known(table, "key", ["rank"], ["x"], "read", "lowest rank")
    found = dict(zip(merged["key"], merged["x"].replace({np.nan: None}), strict=True))
    assert {k: None if pd.isna(v) else v for k, v in found.items()} == expected
    assert list(merged["key"]) == sorted(expected)
    assert sorted(conflicts["id"]) == sorted(k for k, v in values.items() if len(v) > 1)
    assert set(conflicts["entity"]) <= {"value"}


def test_rows_without_columns_to_merge() -> None:
    table = pd.DataFrame({"key": ["b", "a", "b"], "rank": [1, 2, 3]})
    merged, conflicts = first_known(table, "key", ["rank"], [], "read", "lowest rank")
    assert merged.to_dict("list") == {"key": ["a", "b"]}
    assert conflicts.empty


@pytest.mark.parametrize(
    ("a", "b", "years", "differ"),
    [
        (24.6407, 24.0, True, False),  # full years
        (24.6407, 25.0, True, False),  # rounded
        (24.6407, 26.0, True, True),
        (24.0, 25.0, True, True),
        (24.6, 24.7, True, True),
        (1.9, 1.0, False, True),  # only ages are counted in full units
        (1.9, 2.0, False, False),
        (0.52, 0.5, False, False),
        (0.56, 0.5, False, True),
        ("a", "b", False, True),
        ("a", 1.0, False, True),
    ],
)
def test_numbers_agree_with_their_rounded_selves(
    a: object, b: object, years: bool, differ: bool
) -> None:
    assert disagree(a, b, years) is disagree(b, a, years) is differ
