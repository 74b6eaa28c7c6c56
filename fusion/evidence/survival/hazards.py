"""Does what a score says of the hazard hold over all of follow-up?"""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.evidence.survival.predictions import ArmTimes
from fusion.metrics.survival import EVENT, Times, cox_ridge, proportional_hazards


@dataclasses.dataclass(frozen=True)
class ProportionalScore:
    """Whether the log hazard ratio of a score changes with time (Grambsch & Therneau 1994).

    Attributes:
        arm: Whose score.
        chi2: Score test, one degree of freedom, of the first repeat; the score is scaled and
            centred in each fold.
        p: Its p.
        early: Hazard ratio of a standard deviation of the score up to the median time of events.
        late: The same after it.
    """

    arm: str
    chi2: float
    p: float
    early: float
    late: float


def proportional_score(times: Times, arm: ArmTimes) -> ProportionalScore | None:
    """Tests the score of an arm, its competing events censored.

    Args:
        times: Follow-up of the patients.
        arm: The arm.

    Returns:
        None where the score does not vary or nothing can be fitted to it.
    """
    part, specific = arm.repeats[0], times.cause_specific()
    score = np.array(part.score, dtype=float)
    for fold in np.unique(part.fold):
        score[part.fold == fold] -= score[part.fold == fold].mean()
    if not np.std(score) > 0:
        return None
    score = (score / np.std(score))[:, None]
    cut = float(np.median(times.time[times.event == EVENT]))
    try:
        tested = proportional_hazards(specific, score, cox_ridge(specific, score))
        before = Times(
            np.minimum(specific.time, cut),
            specific.event * (specific.time <= cut),
            specific.entry,
        ).take(specific.entry < cut)
        early = cox_ridge(before, score[specific.entry < cut]).coefficients[0]
        rest = specific.time > cut
        after = Times(specific.time, specific.event, np.maximum(specific.entry, cut)).take(rest)
        late = cox_ridge(after, score[rest]).coefficients[0]
    except DataError:
        return None
    return ProportionalScore(
        arm.arm,
        float(tested.chi2[0]),
        float(tested.p[0]),
        float(np.exp(early)),
        float(np.exp(late)),
    )
