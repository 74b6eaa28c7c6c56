"""DeLong against the figures that pROC publishes, and against placement values by brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from featurestore.errors import DataError
from fusion.metrics.delong import DeLong, delong

MARKERS = ["s100b", "ndka", "wfns"]


@pytest.fixture(scope="module")
def asah() -> DeLong:
    table = pd.read_csv(Path(__file__).with_name("asah.csv"), comment="#")
    assert len(table) == 113
    y = (table["outcome"] == "Poor").to_numpy()
    return delong(y, table[MARKERS].to_numpy(dtype=float).T)


@pytest.mark.parametrize(
    ("marker", "auroc"), [("s100b", 0.7313686), ("ndka", 0.6119580), ("wfns", 0.8236789)]
)
def test_auroc_is_that_of_proc(asah: DeLong, marker: str, auroc: float) -> None:
    assert asah.auroc[MARKERS.index(marker)] == pytest.approx(auroc, abs=5e-8)


def test_interval_and_variance_are_those_of_proc(asah: DeLong) -> None:
    assert asah.interval(0) == pytest.approx((0.6301182, 0.8326189), abs=5e-8)
    assert asah.covariance[0, 0] == pytest.approx(0.00266868, abs=5e-9)


@pytest.mark.parametrize(
    ("first", "second", "z", "p"),
    [
        ("s100b", "wfns", -2.20898, 0.0271758),
        ("s100b", "ndka", 1.39077, 0.1642952),
        ("ndka", "wfns", None, 0.0051456),
    ],
)
def test_paired_tests_are_those_of_proc(
    asah: DeLong, first: str, second: str, z: float | None, p: float
) -> None:
    found_z, found_p = asah.test(MARKERS.index(first), MARKERS.index(second))
    assert found_p == pytest.approx(p, abs=1e-7)
    if z is not None:
        assert found_z == pytest.approx(z, abs=5e-6)


def _by_placement_values(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition of DeLong et al. 1988: every event against every non-event."""
    events, others = scores[:, y == 1], scores[:, y == 0]
    wins = (events[:, :, None] > others[:, None]) + 0.5 * (events[:, :, None] == others[:, None])
    v10, v01 = wins.mean(axis=2), wins.mean(axis=1)
    covariance = np.cov(v10) / events.shape[1] + np.cov(v01) / others.shape[1]
    return wins.mean(axis=(1, 2)), covariance


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4)), min_size=4).filter(
        lambda rows: 2 <= sum(r[0] for r in rows) <= len(rows) - 2
    )
)
def test_midranks_equal_placement_values_under_ties(rows: list[tuple[bool, int, int]]) -> None:
    y, a, b = np.array(rows, dtype=float).T
    found = delong(y, np.stack([a, b]))
    auroc, covariance = _by_placement_values(y, np.stack([a, b]))
    np.testing.assert_allclose(found.auroc, auroc, atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
    assert found.auroc[0] == pytest.approx(roc_auc_score(y, a))


def test_no_variance_gives_no_interval_rather_than_certainty() -> None:
    y = np.array([0, 0, 0, 1, 1, 1])
    perfect = delong(y, np.array([[1.0, 2, 3, 4, 5, 6], [0.0] * 6]))
    np.testing.assert_allclose(perfect.auroc, [1.0, 0.5])
    assert np.isnan(perfect.interval(0)).all()
    assert np.isnan(perfect.interval(1)).all()
    same = delong(y, np.array([[1.0, 5, 2, 4, 3, 6]] * 2))
    assert np.isnan(same.test(0, 1)).all()


def test_interval_stays_between_0_and_1() -> None:
    y = np.repeat([0, 1], 5)
    low, high = delong(y, np.array([1.0, 2, 3, 4, 6, 5, 7, 8, 9, 10])).interval()
    assert high == 1.0
    assert 0.5 < low < 1


@pytest.mark.parametrize(
    ("y", "scores", "message"),
    [
        ([0, 0, 1, 1], [1.0, 2.0, np.nan, 3.0], "finite"),
        ([0, 0, 1], [1.0, 2.0, 3.0], "two events"),
        ([1, 1, 1], [1.0, 2.0, 3.0], "non-events"),
        ([0, 1], [1.0, 2.0, 3.0], "one length"),
        ([0, 2, 1, 0], [1.0, 2.0, 3.0, 4.0], "0 or 1"),
    ],
)
def test_bad_input_is_refused(y: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        delong(np.array(y), np.array(scores))
