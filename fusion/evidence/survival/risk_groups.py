"""What became of the patients in the risk groups that models cut on inner data."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.evidence.scoring import CurveSample
from fusion.evidence.survival.predictions import ArmTimes
from fusion.evidence.survival.support import Support
from fusion.metrics import in_chunks
from fusion.metrics.curves import Curve
from fusion.metrics.survival import EVENT, Times, incidence_at, numbers_at_risk, survival_at

STEPS = 120
"""Times of a curve."""

TICKS = 5
"""Intervals between the times at which patients at risk are counted."""

FEWEST_AT_RISK = 5
"""Patients of a group under observation, below which its curve ends: what one of them does moves
it by a fifth."""

YEAR = 365.25


@dataclasses.dataclass(frozen=True)
class RiskGroup:
    """Patients of one risk group, over time.

    Attributes:
        number: 0 for the lowest risk.
        n: Patients; a patient counts for the share of repeats in which he is in the group.
        events: Those with the event.
        curve: Share without the event (Kaplan-Meier); where events compete the cumulative
            incidence (Aalen-Johansen). Over days.
        at_risk: Patients under observation at each of `RiskGroups.ticks`, mean over repeats.
    """

    number: int
    n: float
    events: float
    curve: Curve
    at_risk: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class RiskGroups:
    """The risk groups of one arm, as its models cut them on inner data.

    Attributes:
        arm: Name of the arm.
        incidence: Whether curves are cumulative incidences, because events compete.
        ticks: Days at which patients at risk are counted.
        groups: The lowest risk first.
    """

    arm: str
    incidence: bool
    ticks: tuple[float, ...]
    groups: tuple[RiskGroup, ...]


def risk_groups(
    times: Times, arm: ArmTimes, support: Support, weights: np.ndarray, stretch: float
) -> RiskGroups:
    """Describes the risk groups of an arm, with pointwise bootstrap bands.

    Args:
        times: Follow-up of the patients.
        arm: The arm.
        support: What follow-up supports; curves end where it does, or where too few are left.
        weights: Draws of patients. Shape (draws, patients).
        stretch: How much wider bands are than with models held fixed.
    """
    grid, ticks = np.linspace(0.0, support.last, STEPS), _ticks(support.last)
    of = incidence_at if times.competing else survival_at
    numbers = np.unique(np.concatenate([part.risk_group for part in arm.repeats]))
    groups = []
    for number in map(int, numbers):
        inside = [part.risk_group == number for part in arm.repeats]
        share = np.mean(inside, axis=0)
        left = np.mean([numbers_at_risk(times.take(rows), grid) for rows in inside], axis=0)
        enough = np.flatnonzero(left >= FEWEST_AT_RISK)
        drawn_to = grid[: enough[-1] + 1] if len(enough) else grid[:1]
        drawn = np.concatenate([of(times, drawn_to, chunk * share) for chunk in in_chunks(weights)])
        sample = CurveSample(of(times, drawn_to, share[None, :])[0], drawn, stretch)
        at_risk = np.mean([numbers_at_risk(times.take(rows), ticks) for rows in inside], axis=0)
        groups.append(
            RiskGroup(
                number,
                float(share.sum()),
                float(share @ (times.event == EVENT)),
                sample.curve(drawn_to),
                tuple(map(float, at_risk)),
            )
        )
    return RiskGroups(arm.arm, times.competing, tuple(map(float, ticks)), tuple(groups))


def _ticks(last: float) -> np.ndarray:
    """Times of about equal distance up to the last one, in whole years where that is possible."""
    step = last / TICKS
    step = YEAR * np.ceil(step / YEAR) if step > YEAR / 2 else step
    return np.arange(0.0, last + 1e-9, step)
