"""Outcomes turn label columns into 0, 1 and unknown, and deny what reveals them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import (
    OUTCOMES,
    ExpressionRule,
    NamedTexts,
    Outcome,
    ValueRule,
    find_outcome,
)
from featurestore.tables.dictionary import DataDictionary

RULE = ValueRule("n", ("N1", "N2"), ("N0",))
NODES = Outcome("node", "Node positive", "patient", "diagnosis", RULE)
PATIENTS = pd.DataFrame({"patient_id": ["a", "b", "c", "d"], "n": ["n1", "N0", None, " N2 "]})
NO_IMAGES = pd.DataFrame({"patient_id": []})


def test_values_are_compared_as_text_without_case() -> None:
    labels = NODES.labels(PATIENTS, NO_IMAGES)
    np.testing.assert_array_equal(labels.loc[["a", "b", "c", "d"]], [1, 0, np.nan, 1])


def test_a_value_that_is_neither_is_an_error() -> None:
    with pytest.raises(DataError, match=r"neither positive .* nor negative .*: nx"):
        NODES.labels(PATIENTS.assign(n=["NX", "N0", "N0", "N1"]), NO_IMAGES)


def test_without_negatives_every_other_known_value_is_one() -> None:
    rest = dataclasses.replace(NODES, rule=ValueRule("n", ("N1",), ()))
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
    with pytest.raises(DataError, match=r"known: .*melanoma.* or an expression"):
        find_outcome("metastases")


def test_an_expression_is_a_rule() -> None:
    rule = ExpressionRule("n == 'n1' or n == 'n2'")
    assert rule.columns == ("n",)
    outcome = dataclasses.replace(NODES, rule=rule)
    labels = outcome.labels(PATIENTS, NO_IMAGES)
    np.testing.assert_array_equal(labels.loc[["a", "b", "c", "d"]], [1, 0, np.nan, 1])
    assert outcome.denied(["n", "age"]) == ["n"]


def test_values_that_mean_neither_can_be_unknown() -> None:
    rule = ValueRule("n", ("N1",), ("N0",), others="unknown")
    labels = dataclasses.replace(NODES, rule=rule).labels(PATIENTS, NO_IMAGES)
    np.testing.assert_array_equal(labels.loc[["a", "b", "c", "d"]], [1, 0, np.nan, np.nan])


def test_metastases_are_told_from_other_melanomas_only() -> None:
    images = pd.DataFrame(
        {
            "patient_id": ["a", "b", "c"],
            "diagnosis_3": ["Melanoma metastasis", "Melanoma in situ", "Nevus"],
        }
    )
    labels = OUTCOMES["melanoma_metastasis"].labels(PATIENTS, images)
    np.testing.assert_array_equal(labels.loc[["a", "b", "c"]], [1, 0, np.nan])


def test_who_is_studied() -> None:
    some = dataclasses.replace(NODES, among="known(n)")
    eligible = some.eligible(PATIENTS)
    assert eligible[eligible].index.tolist() == ["a", "b", "d"]
    with pytest.raises(DataError, match="no column m"):
        dataclasses.replace(NODES, among="m == 'x'").eligible(PATIENTS)


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        (("1",), ("0",)),
        (("yes",), ("no",)),
        (("Yes",), ("No",)),
        (("true",), ("false",)),
        (("y",), ()),
    ],
)
@pytest.mark.parametrize(
    "values", [["Yes", "no", None], ["1.0", "0.0", None], ["TRUE", "False", None], [1.0, 0.0, None]]
)
def test_yes_and_no_are_understood_in_any_words(
    positive: tuple[str, ...], negative: tuple[str, ...], values: list[object]
) -> None:
    rule = ValueRule("x", positive, negative)
    labels = rule.labels(pd.DataFrame({"x": values}), DataDictionary([]), "o")
    np.testing.assert_array_equal(labels, [1, 0, np.nan])


def test_a_word_that_is_named_for_one_side_is_not_the_other() -> None:
    table = pd.DataFrame({"x": ["1", "yes", "2"]})
    labels = ValueRule("x", ("1",), ("yes", "2")).labels(table, DataDictionary([]), "o")
    assert labels.tolist() == [1, 0, 0]


def test_outcomes_say_which_texts_they_name() -> None:
    outcome = Outcome(
        "o",
        "d",
        "patient",
        "now",
        ValueRule("x", ("a",), ("none",)),
        among="y == 'NA' and x != 'z'",
    )
    assert outcome.named == {
        "x": NamedTexts(frozenset({"a", "none", "NA", "z"}), is_closed=True),
        "y": NamedTexts(frozenset({"NA", "z"})),
    }
