"""Inverse probability of censoring: the distribution, the weights, and how far they reach.

Decided here once:
- G(t−), the probability of not being censored before t, is what every weight uses: an event at t is
  seen by whoever was not censored before t, and so is somebody's freedom from it at t.
- Events come before censoring at the same time, so a row with its event at t is not at risk of
  being censored at t, and a row censored at exactly a horizon is known to be free of it there.
- With delayed entry the probability is that of not being censored between entry and t,
  G(t−)/G(entry): weights make up for censoring among those who came under observation, and say
  nothing about those who never did. G starts where `MIN_AT_RISK` training rows are under
  observation: the first few that entered cannot tell.
- G is kept at `FLOOR` where it falls below, so that no row counts for more than 20.
- Weights come from the training part of the model that is scored. Where a draw draws its rows too,
  they vary with the draw; held fixed, intervals of the Brier score are too wide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion.metrics.survival._inputs import checked_weights
from fusion.metrics.survival._risk_sets import RiskSets, risk_sets, share, value_at, value_before
from fusion.metrics.survival.times import CENSORED, EVENT, Times

FLOOR = 0.05
"""Least probability of not being censored that a weight divides by."""
MIN_AT_RISK = 10
"""Rows that must still be under observation at a time for a metric at it to be supported."""
_LEAST = 1e-300  # a step to 0 stays a number, so that what comes after it is still known


@dataclasses.dataclass(frozen=True)
class Curve:
    """log G of one training part.

    Attributes:
        time: Exit times, ascending. Shape (m,).
        log_g: log G from that time on, at least log `FLOOR`; one column for all draws, or one a
            draw. Shape (m, 1) or (m, draws).
        last: The time until which G of the rows as they are is known and at least `FLOOR`.
    """

    time: np.ndarray
    log_g: np.ndarray
    last: float

    def before(self, t: np.ndarray) -> np.ndarray:
        """Log G(t−) at each time. Shape (times, 1) or (times, draws)."""
        return value_before(self.time, self.log_g, t, 0.0)

    def at(self, t: np.ndarray) -> np.ndarray:
        """Log G(t) at each time. Shape (times, 1) or (times, draws)."""
        return value_at(self.time, self.log_g, t, 0.0)


@dataclasses.dataclass(frozen=True)
class Censoring:
    """Distributions of censoring, one a training part; made by the functions below.

    Attributes:
        curves: One a training part.
        part: Which of them belongs to each row that is evaluated, shape (n,), or None if there is
            only one.
    """

    curves: tuple[Curve, ...]
    part: np.ndarray | None

    @property
    def last(self) -> float:
        """The time until which all of them are known and at least `FLOOR`."""
        return min(curve.last for curve in self.curves)

    def chance(self, entry: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Each row's probability of not being censored after entry and before a time.

        Args:
            entry: Minus infinity from the start on (`Times.after`). Shape (n,).
            until: Shape (n,).

        Returns:
            Shape (n, 1), or (n, draws) where G varies with the draw; at least `FLOOR`.
        """
        found = np.empty((len(entry), self.curves[0].log_g.shape[1]))
        for rows, curve in self.parts(len(entry)):
            found[rows] = curve.before(until[rows]) - curve.at(entry[rows])
        return np.asarray(np.exp(found, out=found))

    def parts(self, n: int) -> list[tuple[np.ndarray, Curve]]:
        """Positions of the rows of each part, of n in all, and its curve."""
        member = np.zeros(n, dtype=int) if self.part is None else self.part
        return [(np.flatnonzero(member == k), curve) for k, curve in enumerate(self.curves)]


def censoring_distribution(training: Times, weights: np.ndarray | None = None) -> Censoring:
    """Estimates G from the rows a model was trained on, by reverse Kaplan–Meier.

    Equals `prodlim(Hist(time, event) ~ 1, reverse = TRUE)` of R prodlim, the weights of `pec::ipcw`
    and those of `survival::concordance(timewt = "n/G2")` to 10 digits.

    Args:
        training: Follow-up of the training rows.
        weights: How often each of them stands in each draw, (draws, training rows), for a G that
            varies with the draw. Memory: six matrices of this shape.
    """
    plain = risk_sets(training, np.ones((1, len(training))))
    at_risk = plain.at_risk[:, 0]
    started = np.arange(len(at_risk)) >= np.argmax(at_risk >= min(MIN_AT_RISK, at_risk.max()))
    steps = log_censoring_steps(plain) * started[:, None]
    low = np.flatnonzero(np.cumsum(steps) < np.log(FLOOR))
    last = float(plain.time[low[0]] if len(low) else plain.time[-1])
    if weights is not None:
        sets = risk_sets(training, checked_weights(training, weights))
        steps = log_censoring_steps(sets) * started[:, None]
    log_g = np.maximum(np.cumsum(steps, axis=0), np.log(FLOOR))
    return Censoring((Curve(plain.time, log_g, last),), None)


def by_part(parts: Sequence[Censoring], part: np.ndarray) -> Censoring:
    """Gives each evaluated row the distribution of the training part of the model that scored it.

    Args:
        parts: One distribution a fold.
        part: Position in `parts` of each row. Shape (n,).
    """
    return Censoring(tuple(c for censoring in parts for c in censoring.curves), np.asarray(part))


def out_of_fold(times: Times, fold: np.ndarray, weights: np.ndarray | None = None) -> Censoring:
    """Gives each row the distribution of all rows of other folds.

    Where all rows are of one fold, their model was trained elsewhere (an external validation), and
    the distribution is theirs.

    Args:
        times: Follow-up of all rows, which are both trained on and evaluated.
        fold: Fold in which each row is evaluated. Shape (n,).
        weights: Draws of the rows, (draws, n), for a G that varies with the draw.
    """
    names, part = np.unique(fold, return_inverse=True)
    if len(names) == 1:
        return censoring_distribution(times, weights)
    parts = []
    for number in range(len(names)):
        rows = np.flatnonzero(part != number)
        drawn = None if weights is None else weights[:, rows]
        parts.append(censoring_distribution(times.take(rows), drawn))
    return by_part(parts, part)


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
    """What is known of each row at a horizon; arrays of shape (n,) where not said otherwise.

    Attributes:
        case: Had the event by the horizon.
        control: Is known not to have had it by then: was under observation without it, or had a
            competing event, after which it cannot come.
        weight: Inverse probability of this being known; 0 where it is not. Shape (n, 1), or
            (n, draws) where G varies with the draw.
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
    return State(case, control, (case | control)[:, None] / chance, entered)
