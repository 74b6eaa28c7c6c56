"""Time in intervals: cut points, targets for a network of hazards, and hazards back to risks."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.metrics.survival.times import CENSORED, EVENT, Times, require_event


@dataclasses.dataclass(frozen=True)
class Targets:
    """What a model of hazards learns from; shape (n, intervals).

    Attributes:
        at_risk: 1 where a row counts in the likelihood of an interval.
        event: Code of the event that a row had in an interval, 0 for none.
    """

    at_risk: np.ndarray
    event: np.ndarray


def interval_ends(times: Times, intervals: int, *, cause: int = EVENT) -> np.ndarray:
    """Ends of intervals that hold about equally many events; equal quantiles are merged.

    The last one reaches to the last exit. Intervals are (previous end, end], the first from 0.

    Args:
        times: Follow-up of the rows that are fitted.
        intervals: How many at most.
        cause: Code of the event.

    Returns:
        Ascending, shape (at most intervals,).

    Raises:
        DataError: There is no event, or fewer than one interval is asked for.
    """
    require_event(times, cause)
    if intervals < 1:
        raise DataError(f"discrete time needs one interval or more, not {intervals}")
    at = times.time[times.event == cause]
    inner = np.quantile(at, np.arange(1, intervals) / intervals, method="inverted_cdf")
    return np.unique(np.concatenate([inner, [times.time.max()]]))


def targets(times: Times, ends: np.ndarray) -> Targets:
    """Who is at risk in which interval, and with what outcome.

    A row with an event counts in the interval of the event. Otherwise it counts where it was under
    observation for at least half of the interval (Gensheimer & Narasimhan 2019), so that neither
    censoring nor delayed entry within an interval moves hazards in one direction.

    Args:
        times: Follow-up of n rows.
        ends: From `interval_ends`. Rows may leave later: what comes after the last end is censored.
    """
    starts = np.concatenate([[0.0], ends[:-1]])
    seen = np.minimum(times.time[:, None], ends) - np.maximum(times.entry[:, None], starts)
    at_risk = seen >= (ends - starts) / 2
    place = np.searchsorted(ends, times.time, side="left")
    rows = np.flatnonzero((times.event != CENSORED) & (place < len(ends)))
    event = np.zeros(at_risk.shape, dtype=np.int64)
    event[rows, place[rows]] = times.event[rows]
    at_risk[rows, place[rows]] = True
    return Targets(at_risk.astype(float), event)


def log_likelihood(hazards: np.ndarray, found: Targets) -> np.ndarray:
    """Log likelihood of each row (Singer & Willett 1993; with causes Tutz & Schmid 2016, ch. 8).

    Args:
        hazards: Probability of the event in each interval given none before, (n, intervals), or of
            each cause, (n, intervals, causes), codes 1 and up in order.
        found: From `targets`.

    Returns:
        Shape (n,).
    """
    by_cause = hazards[..., None] if hazards.ndim == 2 else hazards
    codes = np.arange(1, by_cause.shape[2] + 1)
    own = np.sum(np.where(found.event[..., None] == codes, by_cause, 0.0), axis=2)
    none = found.event == CENSORED
    chance = np.where(none, 1 - by_cause.sum(axis=2), own)
    return np.sum(np.where(found.at_risk > 0, np.log(np.where(chance > 0, chance, 1e-300)), 0), 1)


def risk_from_hazards(
    hazards: np.ndarray,
    ends: np.ndarray,
    horizons: np.ndarray,
    entry: np.ndarray | None = None,
) -> np.ndarray:
    """Probability of the event, or of the first cause, by each horizon.

    Within an interval the hazard is constant in time: after a share f of it, survival has fallen to
    (1 − h)ᶠ, and causes share what is lost by their hazards.

    Args:
        hazards: As for `log_likelihood`.
        ends: From `interval_ends`.
        horizons: Shape (horizons,).
        entry: Time until which each row is known to be free of any event. Shape (n,).

    Returns:
        Shape (n, horizons); NaN beyond the last end.
    """
    total = hazards if hazards.ndim == 2 else hazards.sum(axis=2)
    first = hazards if hazards.ndim == 2 else hazards[..., 0]
    part = np.divide(first, total, out=np.zeros_like(first), where=total > 0)
    log_stay = np.log1p(-np.minimum(total, 1 - 1e-12))
    starts = np.concatenate([[0.0], ends[:-1]])
    entry = np.zeros(len(total)) if entry is None else np.asarray(entry, dtype=float)
    columns = []
    for horizon in np.asarray(horizons, dtype=float):
        spent = np.minimum(horizon, ends) - np.maximum(entry[:, None], starts)
        logs = log_stay * np.clip(spent / (ends - starts), 0.0, 1.0)
        before = np.exp(np.cumsum(logs, axis=1) - logs)
        risk = np.sum(before * -np.expm1(logs) * part, axis=1)
        columns.append(np.where(horizon > ends[-1], np.nan, risk))
    return np.stack(columns, axis=1)
