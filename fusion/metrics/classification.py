"""The only place that computes metrics: pure functions of arrays.

`score` is anything that ranks (here the mean logit), `probability` a claim in [0, 1], and
`decision` 0 or 1 at a threshold that was chosen elsewhere. Every function takes `weights` of shape
(draws, n), non-negative counts of each row, one line a bootstrap draw; without them every row
counts once. Results always have shape (draws,), so `metric(y, score)[0]` is the plain value.

Edge cases, decided here once: a metric that the data do not define is NaN, never 0. So AUROC,
AUPRC, sensitivity, specificity and calibration need what they divide by; precision needs a positive
decision; F1 needs an event or a positive decision. Inputs that are no data at all (NaN, other
lengths, outcomes other than 0 and 1) raise `DataError`.

A new metric is one function and one line in `METRICS`. Curves are in `fusion.metrics.curves`,
DeLong's variance in `fusion.metrics.delong`, intervals in `fusion.metrics.bootstrap`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from featurestore.errors import DataError
from fusion.metrics._logistic import fit_intercept, fit_slope
from fusion.metrics._weighted import ratio, validated, validated_probabilities
from fusion.metrics.logits import logit
from fusion.metrics.ranking import Ranking

Input = Literal["score", "probability", "decision"]
Trials = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, ...]]

CONSTANT = 0.1
"""Range of predicted log odds below which everyone has the same prediction, and no slope."""


def auroc(y: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve: probability that an event outranks a non-event, ties count half."""
    return Ranking.of(y, score, weights).auroc()


def auprc(y: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the precision–recall curve as average precision, without interpolation.

    NaN without an event. A score that ranks nobody gets the prevalence.
    """
    return Ranking.of(y, score, weights).auprc()


def sensitivity_at_specificity(
    y: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    specificity: float = 0.90,
) -> np.ndarray:
    """Largest sensitivity among the thresholds with at least this specificity; no interpolation."""
    return Ranking.of(y, score, weights).sensitivity_at(specificity)


def brier(y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean squared difference between probability and outcome (Brier 1950)."""
    y, probability, weights = validated_probabilities(y, probability, weights)
    return ratio(weights @ (probability - y) ** 2, weights.sum(axis=1))


def calibration_slope(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Slope b of logit P(y) = a + b · logit(p), fitted without penalty; 1 is ideal.

    Below 1 predictions are too extreme. NaN where no finite slope exists: one class only,
    probabilities that separate the classes, or (nearly) the same probability for everyone.

    Source: Cox 1958; Van Calster et al. 2019, "Calibration: the Achilles heel of predictive
    analytics"; Steyerberg 2019, "Clinical Prediction Models", ch. 15.
    """
    y, probability, weights = validated_probabilities(y, probability, weights)
    x = logit(probability)
    if np.ptp(x) < CONSTANT:
        return np.full(len(weights), np.nan)
    return fit_slope(y, x, weights)


def calibration_intercept(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Calibration in the large: a of logit P(y) = a + logit(p), the slope held at 1; 0 is ideal.

    Above 0 the risk is underestimated. This is not the a that is fitted together with the slope.
    Sources as for `calibration_slope`.
    """
    y, probability, weights = validated_probabilities(y, probability, weights)
    return fit_intercept(y, logit(probability), weights)


def accuracy(y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of right decisions."""
    tp, fp, fn, tn = _confusion(y, decision, weights)
    return ratio(tp + tn, tp + fp + fn + tn)


def precision(y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of events among positive decisions; NaN without a positive decision."""
    tp, fp, _, _ = _confusion(y, decision, weights)
    return ratio(tp, tp + fp)


def recall(y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Share of events that were decided positive (sensitivity)."""
    tp, _, fn, _ = _confusion(y, decision, weights)
    return ratio(tp, tp + fn)


def specificity(
    y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Share of non-events that were decided negative."""
    _, fp, _, tn = _confusion(y, decision, weights)
    return ratio(tn, tn + fp)


def f1(y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."""
    tp, fp, fn, _ = _confusion(y, decision, weights)
    return ratio(2 * tp, 2 * tp + fp + fn)


def net_benefit(
    y: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    threshold: float,
) -> np.ndarray:
    """Net benefit TP/n − FP/n · t/(1−t) of treating from probability t on (Vickers & Elkin 2006).

    Raises:
        DataError: The threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise DataError(f"a threshold probability lies between 0 and 1, not at {threshold}")
    y, probability, weights = validated_probabilities(y, probability, weights)
    gain = np.where(y == 1, 1.0, -threshold / (1 - threshold))
    return ratio(weights @ (gain * (probability >= threshold)), weights.sum(axis=1))


def rates_at(
    y: np.ndarray, treated: np.ndarray, thresholds: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`recall`, `specificity` and `net_benefit` at many thresholds of many predictions at once.

    Args:
        y: Outcomes. Shape (n,).
        treated: Whether each prediction decides for treatment; float. Shape (repeats, n, k).
        thresholds: Between 0 and 1. Shape (k,).
        weights: Draws. Shape (draws, n).

    Returns:
        Each of shape (repeats, draws, k); NaN where a draw lacks a class.
    """
    event, other = weights[:, y == 1], weights[:, y == 0]
    hits = np.array([event @ own[y == 1] for own in treated])
    alarms = np.array([other @ own[y == 0] for own in treated])
    events, others = event.sum(axis=1)[:, None], other.sum(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        net = (hits - alarms * thresholds / (1 - thresholds)) / (events + others)
        return hits / events, 1 - alarms / others, net


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Every threshold that decides patients differently; arrays of shape (cuts,).

    Attributes:
        threshold: Probabilities from which on to decide positive, ascending.
        sensitivity: Of deciding so.
        specificity: Of deciding so.
    """

    threshold: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray


def cuts(y: np.ndarray, probability: np.ndarray) -> Cuts:
    """Thresholds half-way between neighbouring probabilities, and half the lowest one.

    Raises:
        DataError: There is one class only.
    """
    y, probability, _ = validated_probabilities(y, probability, None)
    events, others = np.sort(probability[y == 1]), np.sort(probability[y == 0])
    if not len(events) or not len(others):
        raise DataError("a threshold needs patients with and without the outcome")
    values = np.unique(probability)
    between = (values[1:] + values[:-1]) / 2
    # Of two neighbouring floats the mean may be the lower one, which would decide it positive.
    found = np.concatenate([values[:1] / 2, np.where(between > values[:-1], between, values[1:])])
    return Cuts(
        found,
        1 - np.searchsorted(events, found) / len(events),
        np.searchsorted(others, found) / len(others),
    )


def _confusion(
    y: np.ndarray, decision: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weighted TP, FP, FN, TN; (draws,) each."""
    y, decision, weights = validated(y, decision, weights)
    if not np.isin(decision, (0.0, 1.0)).all():
        raise DataError("decisions must be 0 or 1")
    called, missed = decision, 1 - decision
    cells = weights @ np.stack([y * called, (1 - y) * called, y * missed, (1 - y) * missed], axis=1)
    return cells[:, 0], cells[:, 1], cells[:, 2], cells[:, 3]


def _everyone(y: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    return (np.ones(len(y), dtype=bool),)


def _events(y: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    return (y == 1,)


def _called(_: np.ndarray, decision: np.ndarray) -> tuple[np.ndarray, ...]:
    return (decision == 1,)


def _pairs(y: np.ndarray, _: np.ndarray) -> tuple[np.ndarray, ...]:
    return y == 1, y == 0


@dataclasses.dataclass(frozen=True)
class Metric:
    """A registered metric.

    Attributes:
        name: Key in tables.
        label: Heading for people.
        needs: What the function takes beside the outcome.
        higher_is_better: None where an ideal value lies in between.
        function: (y, input, weights) -> (draws,).
        trials: For a share of successes: the rows that count as trials, from y and the input; of
            several groups of rows (pairs of an event and a non-event) the smaller gives their
            number. It decides the interval of a share of exactly 0 or 1
            (`bootstrap.interval`). None for metrics that are no share.
        bounded: Whether it lies between 0 and 1.
        of_ranking: For a metric of the score alone: the same from counts that are there already.
    """

    name: str
    label: str
    needs: Input
    higher_is_better: bool | None
    function: Callable[..., np.ndarray]
    trials: Trials | None = None
    bounded: bool = True
    of_ranking: Callable[[Ranking], np.ndarray] | None = None


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auroc", "AUROC", "score", True, auroc, _pairs, of_ranking=Ranking.auroc),
        Metric("auprc", "AUPRC", "score", True, auprc, of_ranking=Ranking.auprc),
        Metric("brier", "Brier", "probability", False, brier),
        Metric("calibration_slope", "slope", "probability", None, calibration_slope, bounded=False),
        Metric(
            "calibration_intercept",
            "intercept",
            "probability",
            None,
            calibration_intercept,
            bounded=False,
        ),
        Metric(
            "sensitivity_at_specificity_90",
            "sens@spec 0.90",
            "score",
            True,
            sensitivity_at_specificity,
            _events,
            of_ranking=lambda ranking: ranking.sensitivity_at(0.90),
        ),
        Metric("accuracy", "accuracy", "decision", True, accuracy, _everyone),
        Metric("precision", "precision", "decision", True, precision, _called),
        Metric("recall", "recall", "decision", True, recall, _events),
        Metric("f1", "F1", "decision", True, f1),
    )
}


def metrics_at(threshold: float) -> dict[str, Metric]:
    """All registered metrics and the net benefit at a threshold probability."""
    at = functools.partial(net_benefit, threshold=threshold)
    found = Metric("net_benefit", "net benefit", "probability", True, at, bounded=False)
    return METRICS | {"net_benefit": found}
