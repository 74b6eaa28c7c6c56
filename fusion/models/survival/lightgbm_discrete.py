"""Gradient-boosted trees on person-periods: hazards in discrete time."""

from __future__ import annotations

import numpy as np

from fusion.features import FeatureTable
from fusion.metrics.survival import targets
from fusion.models.explanation import Contributions
from fusion.models.survival.encoding import Encoded
from fusion.models.survival.intervals import Intervals, patient_hazards, softplus
from fusion.models.survival.lightgbm import CoxLightGbm, Problem, Raw
from fusion.models.survival.losses import DiscreteLoss
from fusion.models.survival.patients import Patients


class DiscreteLightGbm(CoxLightGbm):
    """LightGBM on a row for each interval in which a patient is at risk (Singer & Willett 1993).

    The outcome of such a row is whether the event came in the interval, a binary one; the number of
    the interval is one more column, so hazards need not be proportional. A competing event ends
    the observation. Boosting starts from the hazards of all training patients, so that few rounds
    do not flatten the course of time.

    Attributes:
        intervals_: Intervals of time.
        start_: Log odds of the event in each, of all training patients. Shape (intervals,).
    """

    intervals_: Intervals
    start_: np.ndarray

    def _prepare(self, patients: Patients) -> None:
        self.intervals_ = Intervals.of(patients.times, self.settings.discrete_time.intervals)
        self.start_ = DiscreteLoss(self.intervals_).start(patients.times)

    def problem(self, rows: Encoded) -> Problem:
        """Person-periods, weighted so that every patient counts once."""
        patients = rows.patients
        found = targets(patients.times.cause_specific(), self.intervals_.ends)
        row, interval = np.nonzero(found.at_risk[patients.place])
        place = patients.place[row]
        label = found.event[place, interval].astype(float)
        weights = 1.0 / patients.counts[place]

        start = self.start_[interval]

        def loss(raw: np.ndarray) -> float:
            logits = raw + start
            return float(np.average(np.logaddexp(0.0, logits) - label * logits, weights=weights))

        settings = {"objective": "binary", "metric": "binary_logloss"}
        x = _with_interval(rows.x[row], interval)
        return Problem(x, label, weights, settings, loss, start=start)

    def patient_scores(self, raw: Raw, rows: Encoded) -> np.ndarray:
        """Log cumulative hazard of each patient; shape (p,)."""
        return self.intervals_.score(softplus(rows.patients.mean(self._logits(raw, rows.x))))

    def _score(self, rows: FeatureTable) -> np.ndarray:
        logits = self._logits(self._raw, self.encoder_.transform(rows))
        return self.intervals_.score(softplus(logits))

    def _risk(
        self, rows: FeatureTable, lp: np.ndarray, horizons: np.ndarray, entry: np.ndarray
    ) -> np.ndarray:
        logits = self._logits(self._raw, self.encoder_.transform(rows))
        hazards = patient_hazards(logits, rows)
        return self.intervals_.risk(hazards, self.scale_, lp, horizons, entry)

    def _logits(self, raw: Raw, x: np.ndarray) -> np.ndarray:
        """Log odds of the event in each interval; shape (n, intervals)."""
        count = len(self.intervals_.ends)
        every = _with_interval(np.repeat(x, count, axis=0), np.tile(np.arange(count), len(x)))
        return raw(every).reshape(len(x), count) + self.start_

    def contributions(self, table: FeatureTable) -> Contributions:
        """Mean over intervals of exact Shapley values, in log odds of a hazard.

        Args:
            table: Rows to explain; n of them.
        """
        x, count = self.encoder_.transform(table), len(self.intervals_.ends)
        every = _with_interval(np.repeat(x, count, axis=0), np.tile(np.arange(count), len(x)))
        values = np.asarray(self.booster_.predict(every, pred_contrib=True, num_threads=1))
        mean = values.reshape(len(x), count, -1).mean(axis=1)[:, : x.shape[1]]
        features = self.encoder_.features_
        names, groups = (tuple(getattr(f, a) for f in features) for a in ("name", "group"))
        return Contributions(names, groups, mean)


def _with_interval(x: np.ndarray, interval: np.ndarray) -> np.ndarray:
    return np.column_stack([x, interval])
