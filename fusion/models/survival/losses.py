"""Losses of networks that learn from times to an event.

A new loss is one class that follows `TimesLoss` and one line in `LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fusion.metrics.survival import (
    EVENT,
    PartialLikelihood,
    Targets,
    Times,
    log_likelihood,
    targets,
)
from fusion.models.settings import Settings
from fusion.models.survival.intervals import Intervals, softplus


class TimesLoss(Protocol):
    """What a network's outputs mean, and how wrong they are.

    Attributes:
        outputs: Numbers that the network gives a patient.
    """

    outputs: int

    def start(self, times: Times) -> np.ndarray:
        """Outputs that say of everyone what is true of all; shape (outputs,)."""
        ...

    def loss(self, output: Tensor, times: Times) -> Tensor:
        """Mean loss of patients' outputs, (p,) or (p, outputs), with a gradient."""
        ...

    def value(self, output: np.ndarray, times: Times) -> float:
        """The same without a gradient, in double precision and for any number of patients."""
        ...

    def score(self, output: np.ndarray) -> np.ndarray:
        """Score of each patient, higher for an earlier event; shape (p,)."""
        ...

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What was fitted with it, for `FITTED_LOSSES`."""
        ...


class CoxLoss:
    """Minus the log partial likelihood an event, Efron's ties, delayed entry."""

    outputs = 1

    def start(self, times: Times) -> np.ndarray:
        """No level: it is not in the likelihood."""
        return np.zeros(1)

    def loss(self, output: Tensor, times: Times) -> Tensor:
        """Of one batch; its risk sets are those of the batch."""
        return cox_loss(output, times)

    def value(self, output: np.ndarray, times: Times) -> float:
        """Of all patients."""
        events = int((times.event == EVENT).sum())
        return -PartialLikelihood(times).at(output).value / events

    def score(self, output: np.ndarray) -> np.ndarray:
        """The log hazard ratio."""
        return output

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Nothing was."""
        return {}


class DiscreteLoss:
    """Minus the log likelihood a patient of hazards in intervals (Gensheimer & Narasimhan 2019).

    A competing event ends the observation.
    """

    def __init__(self, intervals: Intervals) -> None:
        """Stores the intervals."""
        self.intervals = intervals
        self.outputs = len(intervals.ends)

    def start(self, times: Times) -> np.ndarray:
        """Log odds of the event in each interval, with half an event for safety."""
        found = self._targets(times)
        events, at_risk = found.event.sum(axis=0), found.at_risk.sum(axis=0)
        return np.asarray(np.log((events + 0.5) / (at_risk - events + 0.5)))

    def loss(self, output: Tensor, times: Times) -> Tensor:
        """Of one batch."""
        found = self._targets(times)
        event = torch.as_tensor(found.event, dtype=output.dtype, device=output.device)
        at_risk = torch.as_tensor(found.at_risk, dtype=output.dtype, device=output.device)
        logits = output.reshape(len(times), self.outputs)
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits, event, weight=at_risk, reduction="none"
        )
        return losses.sum() / len(times)

    def value(self, output: np.ndarray, times: Times) -> float:
        """Of all patients."""
        hazards = -np.expm1(-softplus(output.reshape(len(times), self.outputs)))
        return -float(np.mean(log_likelihood(hazards, self._targets(times))))

    def score(self, output: np.ndarray) -> np.ndarray:
        """Log cumulative hazard."""
        return self.intervals.score(softplus(output.reshape(len(output), self.outputs)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The intervals."""
        return {"intervals": self.intervals.ends}

    def _targets(self, times: Times) -> Targets:
        return targets(times.cause_specific(), self.intervals.ends)


def _discrete(times: Times, settings: Settings) -> DiscreteLoss:
    return DiscreteLoss(Intervals.of(times, settings.discrete_time.intervals))


LOSSES: dict[str, Callable[[Times, Settings], TimesLoss]] = {
    "cox": lambda times, settings: CoxLoss(),
    "discrete_time": _discrete,
}
"""By name: made for the follow-up of a training part."""

FITTED_LOSSES: dict[str, Callable[[Mapping[str, np.ndarray]], TimesLoss]] = {
    "cox": lambda arrays: CoxLoss(),
    "discrete_time": lambda arrays: DiscreteLoss(Intervals.of_ends(arrays["intervals"])),
}
"""By name: rebuilt from what `to_arrays` gave."""


def cox_loss(score: Tensor, times: Times) -> Tensor:
    """Minus the log partial likelihood an event, with a gradient.

    Equals `fusion.metrics.survival.PartialLikelihood`. Memory: events · patients.

    Args:
        score: Log hazard ratio of each patient; shape (p,).
        times: Their follow-up, at least one of them with the event.

    Returns:
        Shape ().
    """
    events = np.flatnonzero(times.event == EVENT)
    events = events[np.argsort(times.time[events], kind="stable")]
    at = times.time[events]
    _, first, count = np.unique(at, return_index=True, return_counts=True)
    place = np.arange(len(at)) - np.repeat(first, count)
    share = place / np.repeat(count, count)
    at_risk = (times.after < at[:, None]) & (times.time >= at[:, None])
    tied = (times.time == at[:, None]) & (times.event == EVENT)
    counted = at_risk - share[:, None] * tied
    weights = torch.as_tensor(counted, dtype=score.dtype, device=score.device)
    index = torch.as_tensor(events, device=score.device)
    denominators = torch.logsumexp(score + torch.log(weights), dim=1)
    return (denominators.sum() - score[index].sum()) / len(events)
