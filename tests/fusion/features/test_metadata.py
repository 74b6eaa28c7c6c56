"""Patient columns to numbers: each kind, each gap, each surprise at prediction."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column
from featurestore.tables.vocabulary import VOCABULARY
from fusion.features.metadata import MetadataEncoder

AGE = Column("age", "numeric", "demographic", unit="years")
ULCER = Column("ulceration", "binary", "histopathology")
STAGE = Column("stage", "ordinal", "staging", levels=("I", "II", "III", "IV"))
SITE = Column("site", "nominal", "demographic", levels=("trunk", "limb", "head"))


def encode(column: Column, training: list[Any], prediction: list[Any]) -> list[list[float]]:
    fitted = MetadataEncoder([column], 0).fit(pd.DataFrame({column.name: training}))
    return fitted.transform(pd.DataFrame({column.name: prediction})).tolist()


def genes(n: int, unit: str = "log2(x+1)") -> tuple[list[Column], pd.DataFrame]:
    columns = [Column(f"G{i}", "expression", "expression", unit=unit) for i in range(8)]
    rng = np.random.default_rng(n)
    values = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 8)) + 0.2 * rng.normal(size=(n, 8)) + 5
    return columns, pd.DataFrame(values, columns=[c.name for c in columns])


def test_numeric_is_scaled_to_the_training_range_and_imputed_by_the_median() -> None:
    result = encode(AGE, [20.0, 30.0, 60.0, None], [20.0, 60.0, None, 40.0])
    assert result == [[0.0, 0.0], [1.0, 0.0], [0.25, 1.0], [0.5, 0.0]]


def test_values_outside_training_are_kept_for_half_a_range_then_clipped() -> None:
    result = encode(AGE, [0.0, 100.0], [120.0, 1e9, -20.0, -1e9])
    np.testing.assert_allclose(np.ravel(result), [1.2, 1.5, -0.2, -0.5], atol=1e-6)


def test_missing_values_unseen_in_training_are_imputed_without_indicator() -> None:
    assert encode(AGE, [0.0, 10.0, 20.0], [None]) == [[0.5]]
    assert encode(SITE, ["trunk", "limb"], [None, "trunk"]) == [[0.0, 0.0], [1.0, 0.0]]


def test_binary_takes_the_mode() -> None:
    assert encode(ULCER, [1, 1, 0, None], [0, 1, None]) == [[0, 0], [1, 0], [1, 1]]
    assert encode(ULCER, [True, False, None, False], [True, None]) == [[1, 0], [0, 1]]


def test_ordinal_keeps_its_whole_scale() -> None:
    result = encode(STAGE, ["I", "III", "III", None], ["I", "II", "IV", None])
    np.testing.assert_allclose(result, [[0, 0], [1 / 3, 0], [1, 0], [2 / 3, 1]], atol=1e-6)


def test_stage_ii_lies_among_its_parts_and_t0_has_no_depth() -> None:
    stage = VOCABULARY["stage"].column
    known = ["IIA", "II", "IIB", "IIC", "0", "IV", "III"]
    (found,) = np.transpose(encode(stage, ["0", "IV"], known))
    np.testing.assert_allclose(found, np.array([4, 5, 5, 6, 0, 11, 8.5]) / 11, atol=1e-6)
    depth = VOCABULARY["t_stage"].column
    result = encode(depth, ["Tis", "T4b", "T2a", "T0"], ["Tis", "T1", "T4b", "T0", None])
    expected = [[0, 0], [1.5 / 8, 0], [1, 0], [3 / 8, 1], [3 / 8, 1]]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_a_state_of_an_older_version_keeps_its_steps() -> None:
    stage = VOCABULARY["stage"].column
    frame = pd.DataFrame({"stage": ["0", "IIA", "IV"]})
    record, arrays = MetadataEncoder([stage], 0).fit(frame).to_state()
    record = json.loads(json.dumps(record))
    assert record["blocks"][0]["fitted"].pop("places")
    record["blocks"][0]["fitted"]["high"] = 14.0
    old = MetadataEncoder.from_state(record, arrays).transform(frame)
    np.testing.assert_allclose(np.ravel(old), [0, 6 / 14, 1], atol=1e-6)


def test_a_level_without_a_place_is_known() -> None:
    encoder = MetadataEncoder([VOCABULARY["t_stage"].column], 0)
    encoder.fit(pd.DataFrame({"t_stage": ["Tis", "T0", "T1"]}))
    known = encoder.known_rows(pd.DataFrame({"t_stage": ["T0", None, "T4"]}))
    assert known.tolist() == [True, False, True]


def test_an_unknown_ordinal_level_is_an_error_in_training_and_missing_at_prediction() -> None:
    with pytest.raises(DataError, match=r"'stage'.*'V'.*I, II, III, IV"):
        encode(STAGE, ["I", "V"], [])
    assert encode(STAGE, ["I", "IV", None], ["V"]) == encode(STAGE, ["I", "IV", None], [None])


def test_nominal_has_training_levels_in_dictionary_order_and_unknown_is_marked() -> None:
    encoder = MetadataEncoder([SITE], 0).fit(pd.DataFrame({"site": ["zeh", "limb", "trunk", None]}))
    assert encoder.feature_names_ == ["site=trunk", "site=limb", "site=zeh", "site_missing"]
    result = encoder.transform(pd.DataFrame({"site": ["limb", "head", None]}))
    assert result.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_columns_that_say_nothing_are_named_and_dropped() -> None:
    columns = [AGE, ULCER, SITE, Column("sex", "nominal", "demographic"), *genes(3)[0][:1]]
    frame = pd.DataFrame(
        {
            "age": [5.0, 5.0, 5.0],
            "ulceration": [None, None, None],
            "site": ["trunk"] * 3,
            "sex": ["f", "m", "f"],
            "G0": [np.nan] * 3,
        }
    )
    encoder = MetadataEncoder(columns, 4).fit(frame)
    assert encoder.dropped_ == ("age", "ulceration", "site", "G0")
    assert encoder.feature_names_ == ["sex=f", "sex=m"]
    nothing = MetadataEncoder([AGE], 0).fit(frame)
    assert nothing.transform(frame).shape == (3, 0)


def test_a_constant_column_with_gaps_keeps_its_indicator() -> None:
    assert encode(AGE, [5.0, None, 5.0], [5.0, None, 7.0]) == [[0.0], [1.0], [0.0]]


def test_expression_equals_standardised_principal_components() -> None:
    columns, frame = genes(30)
    result = MetadataEncoder(columns, 3).fit(frame).transform(frame)
    scores = PCA(3).fit_transform(StandardScaler().fit_transform(frame))
    scores /= scores[:, 0].std(ddof=1)
    signs = np.sign((scores * result).sum(axis=0))
    np.testing.assert_allclose(result * signs, scores, atol=1e-5)
    whole = MetadataEncoder(columns, 0).fit(frame).transform(frame)
    np.testing.assert_allclose(whole, StandardScaler().fit_transform(frame), atol=1e-5)


def test_patients_without_any_gene_are_zeros_with_an_indicator_and_enter_no_fit() -> None:
    columns, frame = genes(30)
    gaps = pd.concat([frame, pd.DataFrame(np.nan, index=range(4), columns=frame.columns)])
    encoder = MetadataEncoder(columns, 3).fit(gaps)
    result = encoder.transform(gaps)
    assert encoder.feature_names_[-1] == "expression_missing"
    assert result[30:].tolist() == [[0, 0, 0, 1]] * 4
    alone = MetadataEncoder(columns, 3).fit(frame).transform(frame)
    np.testing.assert_allclose(result[:30, :3], alone, atol=1e-6)
    assert encoder.known_rows(gaps).tolist() == [True] * 30 + [False] * 4


def test_a_missing_gene_takes_its_mean() -> None:
    columns, frame = genes(30)
    encoder = MetadataEncoder(columns, 3).fit(frame)
    gap, filled = frame.head(1).copy(), frame.head(1).copy()
    gap["G3"], filled["G3"] = np.nan, frame["G3"].mean()
    np.testing.assert_allclose(encoder.transform(gap), encoder.transform(filled), atol=1e-6)


def test_linear_expression_units_become_logarithmic() -> None:
    logarithmic, frame = genes(20)
    frame = frame.clip(lower=0)
    counts, raw = genes(20, unit="TPM")[0], 2**frame - 1
    np.testing.assert_allclose(
        MetadataEncoder(counts, 3).fit(raw).transform(raw),
        MetadataEncoder(logarithmic, 3).fit(frame).transform(frame),
        atol=1e-5,
    )
    with pytest.raises(DataError, match=r"'G1'.*below zero"):
        MetadataEncoder(counts, 3).fit(raw.assign(G1=-0.5))


def test_each_patient_counts_once_and_row_order_means_nothing() -> None:
    columns, expression = genes(25)
    frame = expression.assign(age=np.linspace(20, 80, 25) ** 1.5)
    ids = np.array([f"P{i:02d}" for i in range(25)])
    columns = [AGE, *columns]
    once = MetadataEncoder(columns, 3).fit(frame, ids)
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(25), np.arange(25) % 5 + 1))
    often = MetadataEncoder(columns, 3).fit(frame.iloc[rows].reset_index(drop=True), ids[rows])
    assert once.transform(frame).tobytes() == often.transform(frame).tobytes()


def test_shuffled_and_extra_columns_do_not_matter_but_absent_ones_do() -> None:
    frame = pd.DataFrame({"age": [1.0, 2.0, 4.0], "site": ["trunk", "limb", "limb"]})
    encoder = MetadataEncoder([AGE, SITE], 0).fit(frame)
    other = frame.assign(more=["?", "?", "?"])[["more", "site", "age"]]
    assert encoder.transform(other).tobytes() == encoder.transform(frame).tobytes()
    with pytest.raises(DataError, match="site"):
        encoder.transform(frame[["age"]])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (AGE, "old", r"'age' \(numeric\) holds 'old', not a finite number"),
        (AGE, np.inf, r"'age' \(numeric\) holds inf"),
        (ULCER, 2, r"'ulceration' \(binary\) holds 2, not 0 or 1"),
    ],
)
def test_values_that_contradict_the_dictionary_name_the_column(
    column: Column, value: object, message: str
) -> None:
    frame = pd.DataFrame({column.name: pd.Series([1, 0, value], dtype=object)})
    with pytest.raises(DataError, match=message):
        MetadataEncoder([column], 0).fit(frame)


def test_features_name_their_columns_and_group() -> None:
    columns, frame = genes(12)
    encoder = MetadataEncoder([SITE, *columns], 2)
    encoder.fit(frame.assign(site=["trunk", "limb", None] * 4))
    assert [(f.name, f.group) for f in encoder.features_] == [
        ("site=trunk", "demographic"),
        ("site=limb", "demographic"),
        ("site_missing", "demographic"),
        ("expression_pc01", "expression"),
        ("expression_pc02", "expression"),
    ]
    assert encoder.features_[0].columns == ("site",)
    assert encoder.features_[3].columns == tuple(c.name for c in columns)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "boolean", "category", "object"])
def test_nullable_and_categorical_types_are_read(dtype: str) -> None:
    values = pd.Series([1, 0, None, 1], dtype="Float64").astype(dtype)
    result = MetadataEncoder([ULCER], 0).fit(pd.DataFrame({"ulceration": values}))
    transformed = result.transform(pd.DataFrame({"ulceration": values}))
    assert transformed.tolist() == [[1, 0], [0, 0], [1, 1], [1, 0]]


COLUMNS = [
    AGE,
    ULCER,
    STAGE,
    SITE,
    Column("MITF", "expression", "expression"),
    Column("SOX10", "expression", "expression"),
]
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.fixed_dictionaries(
    {
        "age": st.none() | FLOATS,
        "ulceration": st.none() | st.sampled_from([0.0, 1.0]),
        "stage": st.none() | st.sampled_from(STAGE.levels),
        "site": st.none() | st.text(max_size=3),
        "MITF": st.none() | st.floats(-1e3, 1e3),
        "SOX10": st.none() | st.floats(-1e3, 1e3),
    }
)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[c.name for c in COLUMNS])


@settings(max_examples=60, deadline=None)
@given(
    training=st.lists(ROWS, min_size=1, max_size=12),
    prediction=st.lists(ROWS, min_size=1, max_size=5),
    k=st.integers(0, 3),
)
def test_any_frame_gives_finite_bounded_numbers_and_survives_a_trip_through_json(
    training: list[dict[str, Any]], prediction: list[dict[str, Any]], k: int
) -> None:
    encoder = MetadataEncoder(COLUMNS, k).fit(_frame(training))
    record, arrays = encoder.to_state()
    again = MetadataEncoder.from_state(json.loads(json.dumps(record)), arrays)
    for rows in (training, prediction):
        result = encoder.transform(_frame(rows))
        assert result.dtype == np.float32
        assert result.shape == (len(rows), len(encoder.feature_names_))
        assert np.isfinite(result).all()
        assert again.transform(_frame(rows)).tobytes() == result.tobytes()
    assert again.feature_names_ == encoder.feature_names_
    assert again.dropped_ == encoder.dropped_
    fitted = encoder.transform(_frame(training))
    assert all(len(np.unique(column)) > 1 for column in fitted.T)
