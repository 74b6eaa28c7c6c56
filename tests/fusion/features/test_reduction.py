"""Standardising and principal components with missing rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from featurestore.errors import DataError
from fusion.features.reduction import STANDARD_LIMIT, PrincipalComponents, Standardizer


@pytest.fixture
def matrix() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)) @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(40, 12))


@pytest.mark.parametrize("width", [5, 12, 90])
def test_components_equal_an_independent_reference(width: int) -> None:
    values = np.random.default_rng(width).normal(size=(30, width)) * np.linspace(1, 3, width)
    ours = PrincipalComponents(4).fit(values)
    reference = PCA(4, svd_solver="full").fit(values)
    scores, expected = ours.transform(values), reference.transform(values)
    signs = np.sign((scores * expected).sum(axis=0))
    np.testing.assert_allclose(scores * signs, expected, atol=1e-8)
    np.testing.assert_allclose(ours.variance_, reference.explained_variance_, rtol=1e-8)


def test_the_largest_loading_of_each_component_is_positive(matrix: np.ndarray) -> None:
    for values in (matrix, -matrix):
        loadings = PrincipalComponents(3).fit(values).components_
        largest = np.abs(loadings).argmax(axis=1)
        assert (loadings[np.arange(3), largest] > 0).all()
    np.testing.assert_allclose(
        PrincipalComponents(3).fit(matrix).components_,
        PrincipalComponents(3).fit(-matrix).components_,
        atol=1e-10,
    )


def test_missing_rows_take_no_part_and_stay_missing(matrix: np.ndarray) -> None:
    with_gaps = np.insert(matrix, [0, 7, 40], np.nan, axis=0)
    gaps = np.isnan(with_gaps).all(axis=1)
    fitted = PrincipalComponents(4).fit(with_gaps)
    np.testing.assert_array_equal(
        fitted.components_, PrincipalComponents(4).fit(matrix).components_
    )
    scores = fitted.transform(with_gaps)
    assert np.isnan(scores[gaps]).all()
    np.testing.assert_allclose(scores[~gaps], fitted.transform(matrix), atol=1e-12)


def test_a_single_missing_value_counts_as_the_mean(matrix: np.ndarray) -> None:
    fitted = PrincipalComponents(4).fit(matrix)
    gap, filled = matrix[:1].copy(), matrix[:1].copy()
    gap[0, 2], filled[0, 2] = np.nan, fitted.mean_[2]
    np.testing.assert_allclose(fitted.transform(gap), fitted.transform(filled), atol=1e-12)


def test_no_more_components_than_the_rank() -> None:
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 50))
    fitted = PrincipalComponents(10).fit(flat)
    assert fitted.components_.shape == (2, 50)
    np.testing.assert_allclose(fitted.components_ @ fitted.components_.T, np.eye(2), atol=1e-8)
    constant = PrincipalComponents(3).fit(np.ones((4, 6)))
    assert constant.transform(np.ones((2, 6))).shape == (2, 0)


def test_nothing_to_learn_from_and_other_widths_are_errors(matrix: np.ndarray) -> None:
    with pytest.raises(DataError, match="at least one row"):
        PrincipalComponents(2).fit(np.full((3, 4), np.nan))
    with pytest.raises(DataError, match=r"\(40, 11\).*12 columns"):
        PrincipalComponents(2).fit(matrix).transform(matrix[:, 1:])
    with pytest.raises(DataError, match="12 columns"):
        Standardizer().fit(matrix).transform(matrix[:, 1:])


def test_state_goes_through_plain_arrays(matrix: np.ndarray) -> None:
    components = PrincipalComponents(3).fit(matrix)
    again = PrincipalComponents.from_arrays(components.to_arrays())
    assert again.transform(matrix).tobytes() == components.transform(matrix).tobytes()
    standardizer = Standardizer().fit(matrix)
    same = Standardizer.from_arrays(standardizer.to_arrays())
    assert same.transform(matrix).tobytes() == standardizer.transform(matrix).tobytes()


def test_standardizer_equals_a_weighted_reference(matrix: np.ndarray) -> None:
    weights = np.random.default_rng(2).uniform(0.1, 1, len(matrix))
    reference = StandardScaler().fit(matrix, sample_weight=weights)
    fitted = Standardizer().fit(matrix, weights)
    np.testing.assert_allclose(fitted.transform(matrix), reference.transform(matrix), atol=1e-10)


def test_standardizer_ignores_missing_rows_and_constant_columns(matrix: np.ndarray) -> None:
    values = np.column_stack([matrix, np.full(40, 0.1), np.full(40, np.nan)])
    values = np.vstack([values, np.full(14, np.nan)])
    scaled = Standardizer().fit(values).transform(values)
    assert np.isnan(scaled[-1]).all()
    assert np.isnan(scaled[:, 13]).all()
    assert (scaled[:40, 12] == 0).all()
    np.testing.assert_allclose(scaled[:40, :12], StandardScaler().fit_transform(matrix), atol=1e-10)


def test_a_dimension_that_never_varied_stays_zero_whatever_comes() -> None:
    fitted = Standardizer().fit(np.full((7, 1), 1e20 / 3))
    assert fitted.transform(np.array([[5.0], [1e20 / 3]])).tolist() == [[0.0], [0.0]]


def test_a_value_far_outside_training_is_clipped() -> None:
    fitted = Standardizer().fit(np.array([[0.0], [1e-9]]))
    assert fitted.transform(np.array([[5.0], [-5.0]])).ravel().tolist() == [
        STANDARD_LIMIT,
        -STANDARD_LIMIT,
    ]
