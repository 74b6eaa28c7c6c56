"""Linear, forest and kernel comparators: what is fitted and what is chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from fusion.arms import Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.models.base import Model
from fusion.models.inner import encode_training

Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


def test_logistic_regression_equals_scikit_learns(
    parts: Parts, fit: Fitter, modalities: tuple[Modality, ...], small_config: AblationConfig
) -> None:
    model = fit("logistic_regression", parts[0])
    data = encode_training(parts[0], modalities, small_config.metadata, 2, 0)
    reference = LogisticRegression(
        C=model.choices_["parameters"]["C"], solver="newton-cholesky", tol=1e-10
    ).fit(data.whole.x, data.whole.y, data.whole.weights)
    x = data.encoder.transform(parts[1])
    np.testing.assert_allclose(
        model.predict_proba(parts[1]), reference.predict_proba(x)[:, 1], atol=1e-4
    )


def test_the_candidate_with_the_lowest_inner_loss_is_taken(parts: Parts, fit: Fitter) -> None:
    choices = fit("logistic_regression", parts[0]).choices_
    losses = {c["parameters"]["C"]: c["inner_log_loss"] for c in choices["candidates"]}
    assert choices["parameters"]["C"] == min(losses, key=lambda c: losses[c])
    assert choices["inner_log_loss"] == min(losses.values())
