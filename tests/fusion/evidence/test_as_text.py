"""Evidence as text comes back to the last bit, and a text makes nothing but values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.evidence import Evidence
from fusion.evidence.as_text import from_text, same, to_text
from fusion.metrics import Estimate
from fusion.metrics.curves import Curve

NAN = float("nan")

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=9)
    | st.builds(Estimate, st.floats(), st.floats(), st.floats())
    | st.builds(np.float64, st.floats())
    | st.lists(st.floats(), max_size=4).map(np.array)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.floats(allow_nan=False), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(values)
def test_whatever_evidence_is_made_of_comes_back(value: Any) -> None:
    text = to_text(value)
    assert text is not None
    assert same(from_text(text), value)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(),
        pd.DataFrame({"a": [1, 2], "b": [0.1 + 0.2, NAN], "c": ["x", None]}),
        pd.DataFrame({"a": pd.Series(["x", "y"], dtype="str"), 1: [True, False]}),
        pd.DataFrame({"a": pd.Series([None, (1, "x")], dtype=object)}),
        pd.DataFrame({"a": pd.Series([], dtype="int64")}),
    ],
)
def test_tables_keep_their_types(table: pd.DataFrame) -> None:
    text = to_text({"table": table})
    assert text is not None
    pd.testing.assert_frame_equal(from_text(text)["table"], table, check_exact=True)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        pd.DataFrame({"a": [1]}, index=["x"]),
        pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}),
        Estimate,
    ],
)
def test_what_would_come_back_otherwise_has_no_text(value: Any) -> None:
    assert to_text(value) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ((1,), [1]),
        (0.1, np.float64(0.1)),
        (Estimate(0.1, NAN, NAN), Estimate(0.1, NAN, 0.2)),
        (np.zeros(2), np.zeros((1, 2))),
        (np.zeros(2, np.float32), np.zeros(2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.0]})),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    ],
)
def test_what_differs_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same(one, one)


def test_evidence_of_a_study_has_a_text(evidence: Evidence) -> None:
    for name in (field.name for field in dataclasses.fields(evidence)):
        if name not in ("config", "audit"):
            assert to_text(getattr(evidence, name)) is not None, name


@pytest.mark.parametrize(
    "written",
    [
        {"class": "os.system", "fields": {"command": "true"}},
        {"class": "subprocess.Popen", "fields": {}},
        {"class": "fusion.metrics.Estimate", "fields": {"value": 1}},
        {"class": "featurestore.store.store.FeatureStore", "fields": {"root": "x"}},
        {"unknown": 1},
        {"tuple": [], "dict": []},
    ],
)
def test_a_text_names_data_classes_of_ours_only(written: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        from_text(json.dumps(written))


def test_arrays_that_come_back_can_be_written_to() -> None:
    text = to_text(Curve(np.arange(3.0), np.arange(3.0), None, None))
    assert text is not None
    from_text(text).x[0] = 1.0
