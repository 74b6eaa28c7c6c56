"""Log odds and back."""

from __future__ import annotations

import warnings

import numpy as np

from fusion.metrics.logits import logit, sigmoid


def test_scores_far_out_are_0_and_1_and_nothing_is_printed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
        assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_one_undoes_the_other() -> None:
    p = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(sigmoid(logit(p)), p, rtol=1e-12)
