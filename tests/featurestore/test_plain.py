"""Data classes become strict JSON, and numbers come back as they were."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurestore.plain import finite, plain


@dataclasses.dataclass(frozen=True)
class Inner:
    value: float


@dataclasses.dataclass(frozen=True)
class Outer:
    parts: tuple[Inner, ...]
    named: dict[str, Inner]


def test_nested_classes_and_numpy_numbers() -> None:
    value = Outer((Inner(np.float64(0.5)),), {"a": Inner(float("nan"))})  # type: ignore[arg-type]
    assert plain(value) == {"parts": [{"value": 0.5}], "named": {"a": {"value": "nan"}}}
    assert plain([np.int64(3), np.bool_(True), None, "x"]) == [3, True, None, "x"]


@given(st.floats())
def test_every_float_comes_back(value: float) -> None:
    text = json.dumps(plain(value), allow_nan=False)
    back = float(json.loads(text))
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_what_is_not_finite_is_null_for_machines() -> None:
    assert finite({"a": [1.0, float("inf")], "b": (float("nan"), "x")}) == {
        "a": [1.0, None],
        "b": [None, "x"],
    }
