"""Concordance of a score with the order of events: Harrell's, Uno's, and with competing events.

Conventions, decided here once. A pair is comparable if the earlier of the two had the event, the
other was under observation then (entry before it) and was not yet gone. Who is censored at the time
of an event is gone after it, so comparable; two events at one time are not. Equal scores count
half. A competing event puts its row behind every event of the cause, also earlier ones (Wolbers et
al. 2009): a score for the cumulative incidence is judged by this. To judge a cause-specific hazard,
pass `times.cause_specific(cause)`, where competing events are censored (Blanche et al. 2019 on what
either can and cannot tell).
"""

from __future__ import annotations

import numpy as np

from fusion.metrics._weighted import ratio
from fusion.metrics.survival._inputs import checked_score, checked_weights
from fusion.metrics.survival.censoring import Censoring, Curve, last_supported_time
from fusion.metrics.survival.times import CENSORED, EVENT, Times

BLOCK_CELLS = 500_000  # pairs held as float64 at once: 4 MB a matrix


def harrell_c(
    times: Times,
    score: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    cause: int = EVENT,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Harrell's C: share of comparable pairs in which the earlier event has the higher score.

    Its limit depends on censoring; `uno_c` is the one whose limit does not. Sources: Harrell et al.
    1996; delayed entry as in Therneau & Watson 2015.

    Equals `concordance(Surv(entry, time, event) ~ score + strata(strata), reverse = TRUE)` of R
    survival and `concordance_index_censored` of scikit-survival to 12 digits, with ties.

    Args:
        times: Follow-up of n rows.
        score: Higher means an earlier event. Shape (n,).
        weights: Shape (draws, n). Cost: events · n · draws multiplications.
        cause: Code of the event.
        strata: Only pairs within a stratum (a fold) are compared. Shape (n,).

    Returns:
        Shape (draws,); NaN without a comparable pair.
    """
    score, weights = checked_score(times, score), checked_weights(times, weights)
    return _concordance(times, score, weights, None, cause, float("inf"), strata)


def uno_c(
    times: Times,
    score: np.ndarray,
    censoring: Censoring,
    weights: np.ndarray | None = None,
    *,
    tau: float | None = None,
    cause: int = EVENT,
    strata: np.ndarray | None = None,
) -> np.ndarray:
    """Uno's C: the concordance up to tau that would be seen without censoring.

    A pair is weighted by the inverse probability that it is seen to be comparable, 1/G(t−)² at the
    event's time t (Uno et al. 2011); with delayed entry G(entry)/G(t−) for each of the two; a row
    with an earlier competing event has G at its own time (Wolbers et al. 2014). Events at exactly
    tau count.

    Equals `concordance(Surv(time, event) ~ score, timewt = "n/G2", ymax = tau, reverse = TRUE)` of
    R survival to 12 digits, with ties, if G is from the same rows; `concordance_index_ipcw` of
    scikit-survival, which uses G(t) and events before tau, where no censoring is tied with an event
    and no event lies at tau; with competing events `pec::cindex`, which uses G(t−)·G(t), where no
    censoring is tied with an event (10 digits).

    Args:
        times: Follow-up of n rows.
        score: Higher means an earlier event. Shape (n,).
        censoring: From the training part.
        weights: Shape (draws, n). Cost: events · n · draws multiplications.
        tau: Only events up to this time count; None for `last_supported_time`.
        cause: Code of the event.
        strata: Only pairs within a stratum (a fold) are compared. Shape (n,).

    Returns:
        Shape (draws,); NaN without a comparable pair, or with tau beyond the last supported time.
    """
    score, weights = checked_score(times, score), checked_weights(times, weights)
    last = last_supported_time(times, censoring)
    tau = last if tau is None else tau
    if tau > last:
        return np.full(len(weights), np.nan)
    return _concordance(times, score, weights, censoring, cause, tau, strata)


def _concordance(
    times: Times,
    score: np.ndarray,
    weights: np.ndarray,
    censoring: Censoring | None,
    cause: int,
    tau: float,
    strata: np.ndarray | None,
) -> np.ndarray:
    events = np.flatnonzero((times.event == cause) & (times.time <= tau))
    rows = np.asfortranarray(weights).T  # (n, draws), contiguous over draws
    factor = np.ones((len(times), 1))
    seconds: list[tuple[np.ndarray, np.ndarray, Curve | None]]
    seconds = [(np.arange(len(times)), rows, None)]
    if censoring is not None:
        factor = 1 / censoring.chance(times.after, times.time)
        seconds = [
            (part, rows[part] * np.exp(curve.at(times.after[part])), curve)
            for part, curve in censoring.parts(len(times))
        ]
    rivals = np.flatnonzero((times.event != cause) & (times.event != CENSORED))
    gone = rows[rivals] * factor[rivals]
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    size = max(1, BLOCK_CELLS // len(times))
    for start in range(0, len(events), size):
        block = events[start : start + size]
        at, own = times.time[block, None], rows[block] * factor[block]
        allowed, ahead = _compared(score, strata, block)
        later = (times.time > at) | ((times.time == at) & (times.event != cause))
        later = (later & (times.after < at)) * allowed
        for part, second, curve in seconds:
            scaled = own if curve is None else own * np.exp(-curve.before(times.time[block]))
            pairs += np.sum(scaled * (later[:, part] @ second), axis=0)
            won += np.sum(scaled * ((later * ahead)[:, part] @ second), axis=0)
        if len(rivals):
            earlier = ((times.time[rivals] < at) * allowed[:, rivals]).astype(float)
            pairs += np.sum(own * (earlier @ gone), axis=0)
            won += np.sum(own * ((earlier * ahead[:, rivals]) @ gone), axis=0)
    return ratio(won, pairs)


def _compared(
    score: np.ndarray, strata: np.ndarray | None, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether some rows are compared with all, and how much each comparison is won."""
    first = score[block, None]
    ahead = (first > score) + 0.5 * (first == score)
    if strata is None:
        return np.ones((len(block), len(score))), ahead
    return (strata[block, None] == strata).astype(float), ahead
