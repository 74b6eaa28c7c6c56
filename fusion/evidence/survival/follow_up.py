"""Follow-up of a cohort: how long, how many are left at each horizon, and what was seen by then."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.evidence.survival.predictions import COMPETING
from fusion.evidence.survival.support import Support
from fusion.metrics import Estimate
from fusion.metrics.survival import (
    CENSORED,
    EVENT,
    Times,
    cumulative_incidence,
    follow_up,
    numbers_at_risk,
)


@dataclasses.dataclass(frozen=True)
class AtHorizon:
    """What is known at one horizon.

    Attributes:
        days: The horizon.
        at_risk: Patients under observation.
        events: Patients with the event by then.
        competing: Patients with a competing event by then.
        censored: Patients lost from view by then without either.
        observed: Risk of the event by then: 1 - Kaplan-Meier, Aalen-Johansen where events compete,
            with its pointwise interval; NaN where follow-up does not reach it.
        beyond: Why there are no metrics at it; empty if there are.
        threshold: Threshold probability of the net benefit; NaN without metrics.
    """

    days: float
    at_risk: int
    events: int
    competing: int
    censored: int
    observed: Estimate
    beyond: str
    threshold: float


@dataclasses.dataclass(frozen=True)
class FollowUp:
    """Follow-up of the predicted patients; times in days.

    Attributes:
        patients: Their number.
        events: Those with the event.
        competing: Those with a competing event.
        censored: Those with neither.
        late: Those who came under observation after time zero.
        median: Median follow-up by reverse Kaplan-Meier, with its interval.
        longest: The last exit.
        last: The last time at which metrics are supported.
        until: Up to when events count for a concordance, and risk groups are compared.
        days_observed: Sum of everyone's days under observation.
        horizons: What is known at each horizon.
    """

    patients: int
    events: int
    competing: int
    censored: int
    late: int
    median: Estimate
    longest: float
    last: float
    until: float
    days_observed: float
    horizons: tuple[AtHorizon, ...]


def describe_follow_up(times: Times, horizons: np.ndarray, support: Support) -> FollowUp:
    """Counts what follow-up saw.

    Args:
        times: Follow-up of the predicted patients.
        horizons: Days by which risks are predicted.
        support: What follow-up supports.
    """
    incidence = cumulative_incidence(times)
    at_risk = numbers_at_risk(times, horizons)
    rows = []
    for days, left in zip(map(float, horizons), at_risk, strict=True):
        by_then = times.time <= days
        rows.append(
            AtHorizon(
                days=days,
                at_risk=int(left),
                events=int((by_then & (times.event == EVENT)).sum()),
                competing=int((by_then & (times.event == COMPETING)).sum()),
                censored=int((by_then & (times.event == CENSORED)).sum()),
                observed=incidence.estimate_at(days),
                beyond=support.beyond.get(days, ""),
                threshold=support.thresholds.get(days, float("nan")),
            )
        )
    return FollowUp(
        patients=len(times),
        events=int((times.event == EVENT).sum()),
        competing=int((times.event == COMPETING).sum()),
        censored=int((times.event == CENSORED).sum()),
        late=int((times.entry > 0).sum()),
        median=follow_up(times).quantile(),
        longest=float(times.time.max()),
        last=support.last,
        until=support.until,
        days_observed=float((times.time - times.entry).sum()),
        horizons=tuple(rows),
    )
