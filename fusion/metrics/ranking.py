"""What a ranking of patients finds as its threshold falls: sorted and counted once, read often."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from fusion.metrics._weighted import ratio, validated


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Counts at every distinct score that an event has, from the highest down.

    Nothing that is read here changes between two events but the false positives, so the others are
    counted at these scores only. All are of shape (scores, draws), totals of shape (draws,).
    Metrics return shape (draws,), curves (draws, grid); NaN where the data do not define them.

    Attributes:
        events: Weight of the events with this score.
        others: Weight of the non-events with this score.
        true_positives: Running sum of `events`.
        false_positives: Weight of the non-events with this score or a higher one.
        all_events: Weight of the events.
        all_others: Weight of the non-events.
    """

    events: np.ndarray
    others: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    all_events: np.ndarray
    all_others: np.ndarray

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
        event = y[order]
        if len(first) < len(score):
            of_event = np.flatnonzero(event)
            group = np.searchsorted(first, of_event, side="right") - 1
            places, begin = np.unique(group, return_index=True)
            events = np.add.reduceat(rows[of_event], begin, axis=0) if len(begin) else rows[:0]
            rows = np.add.reduceat(rows, first, axis=0)
        else:
            places = np.flatnonzero(event)
            events = rows[places]
        called = np.cumsum(rows, axis=0)
        found = np.cumsum(events, axis=0)
        all_events = events.sum(axis=0)
        return cls(
            events,
            rows[places] - events,
            found,
            called[places] - found,
            all_events,
            called[-1] - all_events,
        )

    def auroc(self) -> np.ndarray:
        """Area under the ROC curve; ties count half."""
        pairs = self.all_events * self.all_others
        above = _summed(self.events, self.false_positives)
        return ratio(pairs - above + _summed(self.events, self.others) / 2, pairs)

    def auprc(self) -> np.ndarray:
        """Average precision; the prevalence where nobody is ranked, NaN without an event."""
        return ratio(_summed(self._precision(0.0), self.events), self.all_events)

    def sensitivity_at(self, specificity: float) -> np.ndarray:
        """Largest sensitivity among the thresholds with at least this specificity."""
        tp, fp, others = self.true_positives, self.false_positives, self.all_others
        allowed = fp <= (1 - specificity) * others + 1e-9 * others
        best = np.max(np.where(allowed, tp, 0.0), axis=0, initial=0.0)
        return np.where(others > 0, ratio(best, self.all_events), np.nan)

    def roc(self, grid: np.ndarray) -> np.ndarray:
        """Sensitivity at each false-positive rate of `grid`, linear across ties.

        Where the curve rises vertically its upper end is taken, also at rate 0.
        """
        result = np.full((len(self.all_events), len(grid)), np.nan)
        before = self.false_positives - self.others
        for draw in np.flatnonzero((self.all_events > 0) & (self.all_others > 0)):
            found, alarms = self.true_positives[:, draw], self.false_positives[:, draw]
            # Each event's score has two corners: before it, and with it.
            x = np.stack([before[:, draw], alarms], axis=1).ravel() / self.all_others[draw]
            below = np.concatenate([[0.0], found[:-1]])
            up = np.stack([below, found], axis=1).ravel() / self.all_events[draw]
            rates = np.concatenate([[0.0], x, [1.0]])
            result[draw] = np.interp(grid, rates, np.concatenate([[0.0], up, [1.0]]))
        return result

    def precision_recall(self, grid: np.ndarray) -> np.ndarray:
        """Precision at the highest threshold whose recall reaches each value of `grid`.

        These are the steps that average precision sums; nothing is interpolated (Davis & Goadrich
        2006).
        """
        result = np.full((len(self.all_events), len(grid)), np.nan)
        draws = zip(self.true_positives.T, self._precision(np.nan).T, strict=True)
        for draw, (found, exact) in enumerate(draws):
            if len(found) and found[-1]:
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
