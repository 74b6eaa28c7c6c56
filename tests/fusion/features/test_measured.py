"""Columns as numbers and text, one by one and several at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables import Column
from fusion.features.measured import matrix_of, numbers_of, text_of

KINDS = {"gene": "expression", "other": "expression", "age": "numeric", "yes": "binary"}
COLUMNS = tuple(Column(name, kind, "clinical") for name, kind in KINDS.items())


@given(
    st.lists(st.tuples(*[st.one_of(st.just(np.nan), st.floats(-9, 9))] * 3), min_size=1),
    st.sampled_from(["float64", "float32", "Float64", "object"]),
    st.integers(2, 4),
)
def test_several_columns_are_each_as_it_is_alone(
    rows: list[tuple[float, ...]], dtype: str, count: int
) -> None:
    frame = pd.DataFrame(rows, columns=["gene", "other", "age"]).astype(dtype)
    frame["yes"] = np.arange(len(frame)) % 2
    chosen = COLUMNS[:count]
    found = matrix_of(chosen, frame)
    assert found.flags["C_CONTIGUOUS"]
    for i, column in enumerate(chosen):
        np.testing.assert_array_equal(found[:, i], numbers_of(column, frame[column.name]))
    before = frame.copy()
    found[:] = -1.0
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(("column", "value"), [("other", np.inf), ("yes", 2.0)])
def test_a_value_that_is_none_is_named(column: str, value: float) -> None:
    frame = pd.DataFrame({name: [0.0, 1.0] for name in KINDS})
    frame.loc[1, column] = value
    with pytest.raises(DataError, match=f"column '{column}' .* holds {value}"):
        matrix_of(COLUMNS, frame)


@pytest.mark.parametrize(
    "dtype", ["str", "object", "category", pd.StringDtype("python"), pd.StringDtype("pyarrow")]
)
def test_text_is_the_callers_to_change(dtype: object) -> None:
    values = pd.Series(["a", None, "b"], dtype=dtype)
    text = text_of(values)
    assert text.tolist() == ["a", None, "b"]
    text[:] = "changed"
    assert values.dropna().tolist() == ["a", "b"]
    assert values.isna().tolist() == [False, True, False]


def test_numbers_become_text() -> None:
    assert text_of(pd.Series([1, 2])).tolist() == ["1", "2"]
