"""What a ranking of patients finds as its threshold falls: sorted and counted once, read often."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from fusion.metrics._weighted import ratio, validated


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Counts at every distinct score, from the highest down; all of shape (distinct, draws).

    Metrics return shape (draws,), curves (draws, grid); NaN where the data do not define them.

    Attributes:
        events: Weight of the events with this score.
        others: Weight of the non-events with this score.
        true_positives: Running sum of `events`; the last line is everything.
        false_positives: Running sum of `others`.
    """

    events: np.ndarray
    others: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Sorts and counts.

        Args:
            y: Outcomes, 0 or 1. Shape (n,).
            score: Anything that ranks. Shape (n,).
            weights: One line a bootstrap draw, shape (draws, n); by default each row counts once.

        Raises:
            DataError: See `fusion.metrics.classification`.
        """
        y, score, weights = validated(y, score, weights)
        order = np.argsort(-score, kind="stable")
        first = np.flatnonzero(np.diff(score[order], prepend=np.inf))
        # Draws run along the second axis, where the sums are contiguous in memory.
        rows = weights.T[order]
        events = rows * y[order, None]
        rows -= events
        if len(first) < len(score):
            events = np.add.reduceat(events, first, axis=0)
            rows = np.add.reduceat(rows, first, axis=0)
        return cls(events, rows, np.cumsum(events, axis=0), np.cumsum(rows, axis=0))

    def auroc(self) -> np.ndarray:
        """Area under the ROC curve; ties count half."""
        tp, fp = self.true_positives, self.false_positives
        wins = _summed(self.others, tp) - _summed(self.others, self.events) / 2
        return ratio(wins, tp[-1] * fp[-1])

    def auprc(self) -> np.ndarray:
        """Average precision; the prevalence where nobody is ranked, NaN without an event."""
        return ratio(_summed(self._precision(0.0), self.events), self.true_positives[-1])

    def sensitivity_at(self, specificity: float) -> np.ndarray:
        """Largest sensitivity among the thresholds with at least this specificity."""
        tp, fp = self.true_positives, self.false_positives
        allowed = fp <= (1 - specificity) * fp[-1] + 1e-9 * fp[-1]
        best = np.max(np.where(allowed, tp, 0.0), axis=0)
        return np.where(fp[-1] > 0, ratio(best, tp[-1]), np.nan)

    def roc(self, grid: np.ndarray) -> np.ndarray:
        """Sensitivity at each false-positive rate of `grid`, linear across ties.

        Where the curve rises vertically its upper end is taken, also at rate 0.
        """
        result = np.full((self.true_positives.shape[1], len(grid)), np.nan)
        draws = zip(self.true_positives.T, self.false_positives.T, strict=True)
        for draw, (found, alarms) in enumerate(draws):
            if found[-1] and alarms[-1]:
                rates = np.concatenate([[0.0], alarms / alarms[-1]])
                sensitivity = np.concatenate([[0.0], found / found[-1]])
                result[draw] = np.interp(grid, rates, sensitivity)
        return result

    def precision_recall(self, grid: np.ndarray) -> np.ndarray:
        """Precision at the highest threshold whose recall reaches each value of `grid`.

        These are the steps that average precision sums; nothing is interpolated (Davis & Goadrich
        2006).
        """
        result = np.full((self.true_positives.shape[1], len(grid)), np.nan)
        draws = zip(self.true_positives.T, self._precision(np.nan).T, strict=True)
        for draw, (found, exact) in enumerate(draws):
            if found[-1]:
                # At recall 0 the curve starts where the first event is found.
                wanted = np.maximum(grid * found[-1] * (1 - 1e-12), found[found > 0][0])
                result[draw] = exact[np.searchsorted(found, wanted)]
        return result

    def _precision(self, of_nobody: float) -> np.ndarray:
        called = self.true_positives + self.false_positives
        empty = np.full(called.shape, of_nobody)
        return np.divide(self.true_positives, called, out=empty, where=called > 0)


def _summed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of products down the columns, without a matrix of the products."""
    return np.einsum("ij,ij->j", a, b)
