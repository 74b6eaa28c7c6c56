"""Inverse probability of censoring: the distribution, the weights, and how far they reach.

Decided here once:
- G(t−), the probability of not being censored before t, is what every weight uses: an event at t is
  seen by whoever was not censored before t, and so is somebody's freedom from it at t.
- Events come before censoring at the same time, so a row with its event at t is not at risk of
  being censored at t, and a row censored at exactly a horizon is known to be free of it there.
- With delayed entry the probability is that of not being censored between entry and t,
  G(t−)/G(entry): weights make up for censoring among those who came under observation, and say
  nothing about those who never did.
- The probability is kept at `FLOOR` where it falls below, so that no row counts for more than 20.
- Weights come from the training part of the model that is scored and do not vary over draws.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion.metrics.survival._risk_sets import RiskSets, risk_sets, share, value_at, value_before
from fusion.metrics.survival.times import CENSORED, EVENT, Times

FLOOR = 0.05
"""Least probability of not being censored that a weight divides by."""
MIN_AT_RISK = 10
"""Rows that must still be under observation at a time for a metric at it to be supported."""
_LEAST = 1e-300  # a step to 0 stays a number, so that what comes after it is still known


@dataclasses.dataclass(frozen=True)
class Censoring:
    """Distributions of censoring, one a training part; made by the functions below.

    Attributes:
        curves: Time and log G from that time on of each training part; shape (m,) each.
        part: Which of them belongs to each row that is evaluated, shape (n,), or None if there is
            only one.
        last: The time until which all of them are known and at least `FLOOR`.
    """

    curves: tuple[tuple[np.ndarray, np.ndarray], ...]
    part: np.ndarray | None
    last: float

    def chance(self, entry: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Each row's probability of not being censored after entry and before a time.

        Args:
            entry: Minus infinity from the start on (`Times.after`). Shape (n,).
            until: Shape (n,).

        Returns:
            Shape (n,), at least `FLOOR`.
        """
        found = np.empty(len(entry))
        for rows, time, log_g in self._parts():
            before = value_before(time, log_g, until[rows], 0.0)
            found[rows] = before - value_at(time, log_g, entry[rows], 0.0)
        return np.maximum(np.exp(found), FLOOR)

    def chances(self, entry: np.ndarray, until: np.ndarray) -> np.ndarray:
        """As `chance`, of every row at every one of other times.

        Args:
            entry: As for `chance`. Shape (n,).
            until: Shape (times,).

        Returns:
            Shape (times, n).
        """
        found = np.empty((len(until), len(entry)))
        for rows, time, log_g in self._parts():
            before = value_before(time, log_g, until, 0.0)[:, None]
            found[:, rows] = before - value_at(time, log_g, entry[rows], 0.0)
        return np.maximum(np.exp(found), FLOOR)

    def _parts(self) -> list[tuple[slice | np.ndarray, np.ndarray, np.ndarray]]:
        if self.part is None:
            return [(slice(None), *self.curves[0])]
        return [(self.part == number, *curve) for number, curve in enumerate(self.curves)]


def censoring_distribution(training: Times) -> Censoring:
    """Estimates G from the rows a model was trained on, by reverse Kaplan–Meier.

    Equals `prodlim(Hist(time, event) ~ 1, reverse = TRUE)` of R prodlim, the weights of `pec::ipcw`
    and those of `survival::concordance(timewt = "n/G2")` to 10 digits.
    """
    sets = risk_sets(training, np.ones((1, len(training))))
    steps = log_censoring_steps(sets)[:, 0]
    # With delayed entry the first few rows cannot tell: look from where enough are under
    # observation.
    at_risk = sets.at_risk[:, 0]
    counted = np.arange(len(steps)) >= np.argmax(at_risk >= min(MIN_AT_RISK, at_risk.max()))
    low = np.flatnonzero(np.cumsum(steps * counted) < np.log(FLOOR))
    last = sets.time[low[0]] if len(low) else sets.time[-1]
    return Censoring(((sets.time, np.cumsum(steps)),), None, float(last))


def by_part(parts: Sequence[Censoring], part: np.ndarray) -> Censoring:
    """Gives each evaluated row the distribution of the training part of the model that scored it.

    Args:
        parts: One distribution a fold.
        part: Position in `parts` of each row. Shape (n,).
    """
    curves = tuple(curve for censoring in parts for curve in censoring.curves)
    return Censoring(curves, np.asarray(part), min(censoring.last for censoring in parts))


def log_censoring_steps(sets: RiskSets) -> np.ndarray:
    """Step of log G at each exit time, events first where tied. Shape (m, draws)."""
    censored = share(sets.left - sets.ended, sets.at_risk - sets.ended)
    return np.asarray(np.log(np.maximum(1 - censored, _LEAST)))


def last_supported_time(times: Times, censoring: Censoring, at_risk: int = MIN_AT_RISK) -> float:
    """The last time at which a metric of these rows is supported; beyond it metrics are NaN.

    Until then G of every training part is known and at least `FLOOR`, and at least `at_risk` of the
    evaluated rows are under observation. Minus infinity if that is never so.
    """
    return min(censoring.last, last_followed_time(times, at_risk))


def last_followed_time(times: Times, at_risk: int = MIN_AT_RISK) -> float:
    """The last time at which at least `at_risk` rows are under observation, or minus infinity.

    It stands for `last_supported_time` where a metric needs no distribution from training.
    """
    sets = risk_sets(times, np.ones((1, len(times))))
    enough = np.flatnonzero(sets.at_risk[:, 0] >= at_risk)
    return float(sets.time[enough[-1]]) if len(enough) else float("-inf")


@dataclasses.dataclass(frozen=True)
class State:
    """What is known of each row at a horizon; arrays of shape (n,).

    Attributes:
        case: Had the event by the horizon.
        control: Is known not to have had it by then: was under observation without it, or had a
            competing event, after which it cannot come.
        weight: Inverse probability of this being known; 0 where it is not.
        entered: Came under observation before the horizon; the others tell nothing about it.
    """

    case: np.ndarray
    control: np.ndarray
    weight: np.ndarray
    entered: np.ndarray


def state_at(times: Times, horizon: float, censoring: Censoring, cause: int = EVENT) -> State:
    """Sorts rows into cases, controls and unknown at a horizon and weights the known ones.

    Weights equal those of `pec::ipcw` (subject's and horizon's) to 10 digits, except for rows
    censored at exactly the horizon, which pec leaves out.

    Args:
        times: Follow-up of the evaluated rows.
        horizon: Any time above 0.
        censoring: From the training part.
        cause: Code of the event.
    """
    entered = times.entry < horizon
    ended = entered & (times.event != CENSORED) & (times.time <= horizon)
    case = ended & (times.event == cause)
    control = entered & ~case & (ended | (times.time >= horizon))
    chance = censoring.chance(times.after, np.minimum(times.time, horizon))
    return State(case, control, np.where(case | control, 1 / chance, 0.0), entered)
