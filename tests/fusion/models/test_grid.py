"""Linear, forest and kernel comparators: what is fitted and what is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from fusion.arms import Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import logit
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


class TestCoefficients:
    def test_they_are_those_of_the_penalised_likelihood(self, parts: Parts, fit: Fitter) -> None:
        """Columns are encoded by hand, and the likelihood is minimised as it is written."""
        training = parts[0]
        choices = fit("clinical_reference", training).choices_
        columns = training.columns
        encoded = pd.DataFrame(
            {
                "age_at_diagnosis": columns["age_at_diagnosis"],
                "breslow": columns["breslow"].fillna(_patient_median(training, "breslow")),
                "breslow_missing": columns["breslow"].isna().astype(float),
                "ulceration": columns["ulceration"],
            }
        )
        weights = training.row_weights()
        mean = np.average(encoded, axis=0, weights=weights)
        sd = np.sqrt(np.average((encoded - mean) ** 2, axis=0, weights=weights))
        expected = _ridge(((encoded - mean) / sd).to_numpy(), training.y, weights, choices)
        found = {c["feature"]: c for c in choices["coefficients"]}
        assert list(found) == list(encoded)
        assert [found[name]["columns"] for name in encoded] == [
            ["age_at_diagnosis"],
            ["breslow"],
            ["breslow"],
            ["ulceration"],
        ]
        per_sd = [found[name]["per_sd"] for name in encoded]
        np.testing.assert_allclose([choices["intercept"], *per_sd], expected, atol=2e-4)
        per_unit = [found[name]["per_unit"] for name in encoded]
        np.testing.assert_allclose(per_unit, expected[1:] / sd, atol=2e-4)
        assert choices["coefficients_left_out"] == 0

    def test_a_unit_more_moves_the_log_odds_by_so_much(self, parts: Parts, fit: Fitter) -> None:
        model = fit("logistic_regression", parts[0])
        found = {c["feature"]: c["per_unit"] for c in model.choices_["coefficients"]}
        inner = parts[1].take(np.arange(1))
        base = inner.columns.assign(age_at_diagnosis=60.0, stage="I", sex="female", breslow=1.0)
        changes = {
            "age_at_diagnosis": base.assign(age_at_diagnosis=61.0),
            "breslow": base.assign(breslow=2.0),
            "stage": base.assign(stage="II"),
        }
        before = logit(model.predict_proba(dataclasses.replace(inner, columns=base)))[0]
        for name, columns in changes.items():
            after = logit(model.predict_proba(dataclasses.replace(inner, columns=columns)))[0]
            assert after - before == pytest.approx(found[name], abs=1e-5)
        other = base.assign(sex="male")
        after = logit(model.predict_proba(dataclasses.replace(inner, columns=other)))[0]
        assert after - before == pytest.approx(found["sex=male"] - found["sex=female"], abs=1e-5)

    def test_components_have_no_unit(self, parts: Parts, fit: Fitter) -> None:
        choices = fit("logistic_regression", parts[0]).choices_
        found = {c["feature"]: c for c in choices["coefficients"]}
        for name in ("net_a_pc01", "expression_pc01"):
            assert found[name]["per_unit"] is None
            assert np.isfinite(found[name]["per_sd"])

    def test_of_very_many_the_largest_are_kept(
        self, parts: Parts, fit: Fitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = fit("logistic_regression", parts[0]).choices_["coefficients"]
        monkeypatch.setattr("fusion.models.grid.MOST_COEFFICIENTS", 3)
        choices = fit("logistic_regression", parts[0]).choices_
        sizes = sorted((abs(c["per_sd"]) for c in whole), reverse=True)
        assert (
            sorted((abs(c["per_sd"]) for c in choices["coefficients"]), reverse=True) == sizes[:3]
        )
        assert choices["coefficients_left_out"] == len(whole) - 3

    def test_other_estimators_have_none(self, parts: Parts, fit: Fitter) -> None:
        assert "coefficients" not in fit("svm", parts[0]).choices_


def _patient_median(table: FeatureTable, column: str) -> float:
    return float(table.columns[column].groupby(table.patient_ids).first().median())


def _ridge(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, choices: dict[str, Any]
) -> np.ndarray:
    """Intercept and coefficients by minimising the penalised likelihood as it is written."""
    strength = choices["parameters"]["C"]

    def loss(b: np.ndarray) -> float:
        eta = b[0] + x @ b[1:]
        deviance = weights @ (np.logaddexp(0, eta) - y * eta)
        return float(strength * deviance + b[1:] @ b[1:] / 2)

    return np.asarray(minimize(loss, np.zeros(x.shape[1] + 1), tol=1e-12).x)
