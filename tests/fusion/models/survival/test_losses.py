"""Losses in torch and for LightGBM against NumPy, statsmodels and numerical derivatives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from statsmodels.duration.hazard_regression import PHReg
from times_features_example import DESIGN, HARD, times_table

from fusion.metrics.survival import PartialLikelihood, Times, log_likelihood, targets
from fusion.metrics.survival.simulation import Design, simulate
from fusion.models.survival.intervals import Intervals
from fusion.models.survival.lightgbm import LEAST_CURVATURE, CoxObjective
from fusion.models.survival.losses import CoxLoss, DiscreteLoss, cox_loss
from fusion.models.survival.patients import patients_of
from fusion.models.survival.training import deal

DESIGNS = {"plain": DESIGN, "hard": HARD}


@pytest.fixture(params=DESIGNS)
def design(request: pytest.FixtureRequest) -> Design:
    """Without and with ties, delayed entry and a competing event."""
    return DESIGNS[request.param]


def drawn(design: Design, rows: int = 80) -> tuple[Times, np.ndarray]:
    times = simulate(design, rows, 2).times
    return times, np.random.default_rng(3).normal(size=rows)


def test_cox_loss_is_the_partial_likelihood(design: Design) -> None:
    times, score = drawn(design)
    tensor = torch.tensor(score, dtype=torch.float64, requires_grad=True)
    loss = cox_loss(tensor, times)
    loss.backward()
    reference = PartialLikelihood(times).at(score)
    events = (times.event == 1).sum()
    assert loss.item() == pytest.approx(-reference.value / events, rel=1e-12)
    assert CoxLoss().value(score, times) == pytest.approx(loss.item(), rel=1e-12)
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), -reference.gradient / events, atol=1e-12)


def test_cox_loss_equals_statsmodels(design: Design) -> None:
    """`PHReg(time, x, status, entry, ties="efron").loglike` at a coefficient of 1."""
    times, score = drawn(dataclasses.replace(design, rounding=0.0 if design is DESIGN else 45.0))
    status = (times.event == 1).astype(int)
    entry = np.where(times.entry > 0, times.entry + 1e-6, 0.0)  # at risk only after entry
    model = PHReg(times.time, score[:, None], status, entry=entry, ties="efron")
    events = int(status.sum())
    expected = -model.loglike(np.ones(1)) / events
    own = cox_loss(torch.tensor(score, dtype=torch.float64), times).item()
    assert own == pytest.approx(expected, rel=1e-6)


def test_cox_loss_of_large_scores_is_finite() -> None:
    times, score = drawn(DESIGN)
    tensor = torch.tensor(100 * score, dtype=torch.float32, requires_grad=True)
    loss = cox_loss(tensor, times)
    loss.backward()
    assert tensor.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(tensor.grad).all()


def test_derivatives_for_lightgbm_are_those_of_its_loss(design: Design) -> None:
    table, _ = times_table(40, 5, design)
    patients = patients_of(table)
    objective = CoxObjective(patients)
    scores = np.random.default_rng(0).normal(size=len(table))
    gradient, curvature = objective.derivatives(scores)
    events = patients.events.sum()
    step = 1e-5
    for row in range(0, len(table), 3):
        moved = [scores.copy(), scores.copy()]
        moved[0][row] -= step
        moved[1][row] += step
        low, high = (objective.loss(m) * events for m in moved)
        assert gradient[row] == pytest.approx((high - low) / (2 * step), abs=1e-6)
        # The curvature of a patient's score, shared among its rows: an upper bound of each row's.
        second = (high - 2 * objective.loss(scores) * events + low) / step**2
        rows = patients.counts[patients.place[row]]
        assert curvature[row] == pytest.approx(
            max(second * rows**2, LEAST_CURVATURE) / rows, rel=1e-2, abs=1e-3
        )


def test_discrete_loss_is_the_likelihood_of_person_periods(design: Design) -> None:
    times, _ = drawn(design)
    loss = DiscreteLoss(Intervals.of(times, 5))
    output = np.random.default_rng(1).normal(size=(len(times), loss.outputs))
    hazards = 1 / (1 + np.exp(-output))
    found = targets(times.cause_specific(), loss.intervals.ends)
    expected = -float(np.mean(log_likelihood(hazards, found)))
    tensor = torch.tensor(output, dtype=torch.float64)
    assert loss.loss(tensor, times).item() == pytest.approx(expected, rel=1e-12)
    assert loss.value(output, times) == pytest.approx(expected, rel=1e-12)


def test_discrete_loss_starts_at_its_best_constant() -> None:
    times, _ = drawn(DESIGN, 4000)
    loss = DiscreteLoss(Intervals.of(times, 5))
    start = loss.start(times)
    at = loss.value(np.tile(start, (len(times), 1)), times)
    for k in range(loss.outputs - 1):  # in the last all but a few have the event
        for by in (-0.05, 0.05):
            other = start.copy()
            other[k] += by
            assert loss.value(np.tile(other, (len(times), 1)), times) > at


def test_every_batch_has_events_and_every_patient_one_batch() -> None:
    table, _ = times_table(90, 0, dataclasses.replace(DESIGN, censoring=1 / 100))
    patients = patients_of(table)
    rng = np.random.default_rng(0)
    batches = deal(patients, 10, rng)
    assert sorted(np.concatenate(batches)) == list(range(90))
    assert all(patients.events[batch].any() for batch in batches)
    assert len(batches) == min(9, int(patients.events.sum()))
