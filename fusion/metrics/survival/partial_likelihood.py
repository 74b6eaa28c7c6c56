"""Cox's partial likelihood and its derivatives with respect to the linear predictor."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.metrics.survival.times import EVENT, Times, require_event

WIDEST = 300.0


@dataclasses.dataclass(frozen=True)
class Value:
    """The log partial likelihood at a linear predictor.

    Attributes:
        value: Log partial likelihood.
        gradient: Its derivative by each row's linear predictor. Shape (n,).
        curvature: Minus its second derivative by each row's own linear predictor, not negative.
            Shape (n,).
    """

    value: float
    gradient: np.ndarray
    curvature: np.ndarray


class PartialLikelihood:
    """Log partial likelihood of one cause with Efron's ties, delayed entry and case weights.

    Sorting is done once; a call costs O(n) more. Predictors further than `WIDEST` below the highest
    count as that far below. Every event of a tie has a term of its own: the
    l-th of d has the hazards of the tied rows reduced by l/d (Efron 1977). Weights of a tie are
    averaged over its terms, as in R's coxph. Events of other causes are censored.

    The value equals `coxph(Surv(entry, time, event) ~ offset(lp), ties = "efron")$loglik` of R
    survival to 10 digits, and statsmodels' `PHReg(..., ties="efron").loglike`; the derivatives
    equal numerical ones to 6 digits.

    Attributes:
        grid: Distinct event times, ascending. Shape (m,).
        term: Position in `grid` of each event's term. Shape (events,).
    """

    def __init__(self, times: Times, weights: np.ndarray | None = None, cause: int = EVENT) -> None:
        """Sorts the rows.

        Args:
            times: Follow-up of n rows.
            weights: Case weights, not negative. Shape (n,).
            cause: Code of the event.

        Raises:
            DataError: No row had the event, none that had it has a weight, or weights are no
                weights.
        """
        require_event(times, cause)
        n = len(times)
        self.weights = np.ones(n) if weights is None else np.asarray(weights, dtype=float)
        if self.weights.shape != (n,) or not (self.weights >= 0).all():
            raise DataError(f"case weights must be non-negative, one for each of {n} rows")
        self.events = np.flatnonzero((times.event == cause) & (self.weights > 0))
        if not len(self.events):
            raise DataError("rows with the event have no weight: there is nothing to learn from")
        self.grid, self._tie, self._tied = np.unique(
            times.time[self.events], return_inverse=True, return_counts=True
        )
        self.term = np.repeat(np.arange(len(self.grid)), self._tied)
        first = np.concatenate([[0], np.cumsum(self._tied)[:-1]])
        self._share = (np.arange(len(self.term)) - first[self.term]) / self._tied[self.term]
        total = np.bincount(self._tie, self.weights[self.events])
        self.mean_weight = (total / self._tied)[self.term]
        self._by_exit = np.argsort(times.time, kind="stable")
        self._first_exit = np.searchsorted(times.time[self._by_exit], self.grid, side="left")
        self._delayed = times.delayed
        self._by_entry = np.argsort(times.after, kind="stable")
        self._first_entry = np.searchsorted(times.after[self._by_entry], self.grid, side="left")
        self._from = np.searchsorted(self.grid, times.after, side="right")
        self._until = np.searchsorted(self.grid, times.time, side="right")

    def at(self, linear_predictor: np.ndarray) -> Value:
        """Value and derivatives at a linear predictor, (n,)."""
        eta = _within(np.asarray(linear_predictor, dtype=float))
        hazard, denominator = self.hazards(eta)
        inverse = self.mean_weight / denominator
        gain = float(self.weights[self.events] @ eta[self.events])
        value = gain - float(self.mean_weight @ (np.log(denominator) + eta.max()))
        expected = hazard * self.exposure(inverse)
        second = hazard**2 * self._exposure_squared(inverse / denominator)
        observed = np.zeros(len(eta))
        observed[self.events] = self.weights[self.events]
        return Value(value, observed - expected, np.maximum(expected - second, 0.0))

    def hazards(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted relative hazard of each row, and the risk set's at each term.

        Returns:
            Shapes (n,) and (events,), both divided by exp(max of eta).
        """
        hazard = self.weights * np.exp(_within(eta) - eta.max())
        return hazard, self.risk_sum(hazard)

    def risk_sum(self, values: np.ndarray) -> np.ndarray:
        """Sum over the risk set of each term, tied rows reduced as Efron does.

        Args:
            values: Shape (n,) or (n, columns).

        Returns:
            Shape (events,) or (events, columns).
        """
        tied = np.zeros((len(self.grid), *values.shape[1:]))
        np.add.at(tied, self._tie, values[self.events])
        everyone = _tail_sums(values[self._by_exit], self._first_exit)
        if self._delayed:
            everyone = everyone - _tail_sums(values[self._by_entry], self._first_entry)
            if values.ndim == 1:
                everyone = np.maximum(everyone, tied)  # rounding cannot empty a risk set
        share = self._share if values.ndim == 1 else self._share[:, None]
        return np.asarray(everyone[self.term] - share * tied[self.term])

    def exposure(self, terms: np.ndarray) -> np.ndarray:
        """Sum over the terms in whose risk set each row was, reduced where it was tied. (n,)."""
        return self._spread(terms, self._share * terms)

    def _exposure_squared(self, terms: np.ndarray) -> np.ndarray:
        """As `exposure`, the reduction squared: (1 − l/d)² = 1 − (2 − l/d)·l/d."""
        return self._spread(terms, (2 - self._share) * self._share * terms)

    def _spread(self, terms: np.ndarray, reduction: np.ndarray) -> np.ndarray:
        until = np.concatenate([[0.0], np.cumsum(np.bincount(self.term, terms))])
        found = until[self._until] - until[self._from]
        found[self.events] -= np.bincount(self.term, reduction)[self._tie]
        return np.asarray(found)


def _within(eta: np.ndarray) -> np.ndarray:
    """Keeps predictors so near to the highest that squares of hazards are still numbers."""
    return np.maximum(eta, eta.max() - WIDEST)


def _tail_sums(ordered: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sum from each position to the end; positions may lie one beyond it."""
    tails = np.cumsum(ordered[::-1], axis=0)[::-1]
    return np.asarray(np.concatenate([tails, np.zeros((1, *ordered.shape[1:]))])[first])
