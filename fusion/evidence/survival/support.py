"""How far follow-up reaches: until when metrics are supported, and at which horizons."""

from __future__ import annotations

import dataclasses

import numpy as np

from featurestore.errors import DataError
from fusion.evidence.survival.predictions import AlignedTimes
from fusion.metrics.survival import last_supported_time, observed_risk, out_of_fold


@dataclasses.dataclass(frozen=True)
class Support:
    """What follow-up supports; times in days.

    Attributes:
        last: The last time at which a metric is supported, in every repeat.
        horizons: Horizons up to it at which every arm has risks, by their place among all.
        beyond: Horizons without numbers, and why.
        thresholds: Threshold probability of the net benefit at each supported horizon: the
            observed risk, where treating all and treating nobody are worth the same.
    """

    last: float
    horizons: dict[int, float]
    beyond: dict[float, str]
    thresholds: dict[float, float]

    @property
    def until(self) -> float:
        """Days up to which events count for a concordance, and risk groups are compared.

        The last supported horizon, which was chosen before the data were seen and where weights
        are not yet large; without one, the last supported time.
        """
        return max(self.horizons.values(), default=self.last)


def find_support(aligned: AlignedTimes) -> Support:
    """Finds out what follow-up supports.

    Weights come from the rows of other folds, so that a horizon is supported where the censoring
    of every training part is known and enough patients are still observed
    (`fusion.metrics.survival.censoring`).

    Raises:
        DataError: Nothing is supported.
    """
    versions = [aligned.times]
    if aligned.times.competing:
        versions.append(aligned.times.cause_specific())
    folds = {repeat.fold.tobytes(): repeat.fold for arm in aligned.arms for repeat in arm.repeats}
    last = min(
        last_supported_time(times, out_of_fold(times, fold))
        for times in versions
        for fold in folds.values()
    )
    if not np.isfinite(last):
        raise DataError(
            "follow-up supports no metric of a time to an event: too few patients are under "
            "observation, or too few of a training part; use fewer folds or more patients"
        )
    supported, beyond = {}, {}
    for place, days in enumerate(map(float, aligned.horizons)):
        risks = (repeat.risk[:, place] for arm in aligned.arms for repeat in arm.repeats)
        if days > last:
            beyond[days] = "beyond the last time that follow-up supports"
        elif not all(np.isfinite(risk).all() for risk in risks):
            beyond[days] = "a model has no risk at it: beyond the follow-up of its training part"
        else:
            supported[place] = days
    thresholds = {
        days: float(np.clip(observed_risk(aligned.times, days)[0], 0.01, 0.99))
        for days in supported.values()
    }
    return Support(float(last), supported, beyond, thresholds)
