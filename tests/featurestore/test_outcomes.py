"""Outcomes turn label columns into 0, 1 and unknown, and deny what reveals them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import OUTCOMES, Outcome, find_outcome

NODES = Outcome("node", "Node positive", "patient", "diagnosis", "n", ("N1", "N2"), ("N0",))
PATIENTS = pd.DataFrame({"patient_id": ["a", "b", "c", "d"], "n": ["n1", "N0", None, " N2 "]})
NO_IMAGES = pd.DataFrame({"patient_id": []})


def test_values_are_compared_as_text_without_case() -> None:
    labels = NODES.labels(PATIENTS, NO_IMAGES)
    np.testing.assert_array_equal(labels.loc[["a", "b", "c", "d"]], [1, 0, np.nan, 1])


def test_a_value_that_is_neither_is_an_error() -> None:
    with pytest.raises(DataError, match=r"neither positive .* nor negative .*: nx"):
        NODES.labels(PATIENTS.assign(n=["NX", "N0", "N0", "N1"]), NO_IMAGES)


def test_without_negatives_every_other_known_value_is_one() -> None:
    rest = Outcome("node", "Node positive", "patient", "diagnosis", "n", ("N1",), ())
    np.testing.assert_array_equal(rest.labels(PATIENTS, NO_IMAGES), [1, 0, np.nan, 0])


def test_an_image_label_makes_its_patient_positive() -> None:
    images = pd.DataFrame({"patient_id": ["a", "a", "b"], "melanoma": [0.0, 1.0, np.nan]})
    labels = OUTCOMES["melanoma"].labels(PATIENTS, images)
    assert labels["a"] == 1
    assert np.isnan(labels["b"])


@pytest.mark.parametrize("one", [1, 1.0, True, "1", "1.0".removesuffix(".0"), np.int64(1)])
def test_ones_are_ones_in_every_type(one: object) -> None:
    images = pd.DataFrame({"patient_id": ["a"], "melanoma": pd.Series([one], dtype=object)})
    assert OUTCOMES["melanoma"].labels(PATIENTS, images)["a"] == 1


def test_a_missing_label_column_is_named() -> None:
    with pytest.raises(DataError, match="needs the column 'melanoma'; the data has n"):
        OUTCOMES["melanoma"].labels(PATIENTS, NO_IMAGES)


def test_denied_columns() -> None:
    denied = OUTCOMES["melanoma"].denied(["age", "diagnosis_3", "mel_thick_mm", "melanoma"])
    assert denied == ["diagnosis_3", "mel_thick_mm", "melanoma"]


def test_unknown_outcome() -> None:
    with pytest.raises(DataError, match="known: melanoma"):
        find_outcome("metastases")
