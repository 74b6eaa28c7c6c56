"""The metrics of an arm under censoring, each by name: what it is of, and how it is bounded.

Concordance judges the log hazard ratio, which a competing event censors (`cause_specific`); all
metrics at a horizon judge the risk, the cumulative incidence, where who had a competing event is
known not to have the event. Where events compete, the other version of either stands beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from fusion.evidence.survival.predictions import AlignedTimes, TimesRepeat
from fusion.evidence.survival.support import Support
from fusion.metrics.survival import (
    EVENT,
    Censoring,
    Times,
    brier_at,
    calibration_intercept_at,
    calibration_slope_at,
    dynamic_auc,
    harrell_c,
    integrated_brier,
    net_benefit_at,
    observed_over_expected,
    restricted_mean_at,
    uno_c,
)

RISK_GROUPS_GAP = "restricted_mean_gap"
INTEGRATED_BRIER = "integrated_brier"


@dataclasses.dataclass(frozen=True)
class Scene:
    """One repeat of one arm under some draws.

    Attributes:
        times: Follow-up.
        specific: The same with competing events censored.
        part: The predictions.
        censoring: Of the training part of each patient's model, under the draws.
        censoring_specific: The same of `specific`.
        weights: Shape (draws, patients); None for the data.
    """

    times: Times
    specific: Times
    part: TimesRepeat
    censoring: Censoring
    censoring_specific: Censoring
    weights: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Measure:
    """One metric.

    Attributes:
        name: Its name; at a horizon it ends in `_at_` and the days.
        of: Computes it on every draw; shape (draws,).
        until: Events up to here count, in days.
        bounded: Whether it lies between 0 and 1.
        share: Whether 0 and 1 are reached by few pairs, and so get an exact interval.
        two_sided: Whether it compares patients with and without the event, so that the fewer of
            them say how much is known.
    """

    name: str
    of: Callable[[Scene], np.ndarray]
    until: float
    bounded: bool = True
    share: bool = False
    two_sided: bool = False

    def units(self, times: Times, clusters: np.ndarray) -> int:
        """Independent members of the class that limits what is known."""
        entered = times.entry < self.until
        case = entered & (times.event == EVENT) & (times.time <= self.until)
        found = len(np.unique(clusters[case]))
        if not self.two_sided:
            return found
        ended = (times.event > EVENT) & (times.time <= self.until)
        control = entered & ~case & (ended | (times.time >= self.until))
        return min(found, len(np.unique(clusters[control])))


def at(name: str, days: float) -> str:
    """Name of a metric at a horizon."""
    return f"{name}_at_{days:g}"


def measures(aligned: AlignedTimes, support: Support) -> tuple[Measure, ...]:
    """All metrics that follow-up supports, the headline first."""
    return (
        *_concordances(aligned, support),
        *_over_horizons(support),
        *_at_horizons(aligned, support),
    )


def _concordances(aligned: AlignedTimes, support: Support) -> Iterator[Measure]:
    last = support.until
    yield Measure("uno_c", partial(_uno, tau=last), last, share=True)
    yield Measure("harrell_c", _harrell, float("inf"), share=True)
    yield Measure("uno_c_pooled", partial(_uno, tau=last, within=False), last, share=True)
    yield Measure("harrell_c_pooled", partial(_harrell, within=False), float("inf"), share=True)
    if aligned.times.competing:
        yield Measure("uno_c_incidence", partial(_uno_incidence, tau=last), last, share=True)


def _over_horizons(support: Support) -> Iterator[Measure]:
    days = np.array(list(support.horizons.values()))
    if len(days) > 1:
        places = list(support.horizons)
        yield Measure(
            INTEGRATED_BRIER,
            partial(_integrated, places=places, grid=days),
            days[-1],
            two_sided=True,
        )
    until = support.until
    yield Measure(RISK_GROUPS_GAP, partial(_gap, horizon=until), until, bounded=False)


def _at_horizons(aligned: AlignedTimes, support: Support) -> Iterator[Measure]:
    for place, days in support.horizons.items():
        one = partial(Measure, until=days, two_sided=True)
        yield one(at("auc", days), partial(_auc, place=place, horizon=days), share=True)
        if aligned.times.competing:
            specific = partial(_auc_specific, place=place, horizon=days)
            yield one(at("auc_cause_specific", days), specific, share=True)
        yield one(at("brier", days), partial(_brier, place=place, horizon=days))
        for name, of in (
            ("observed_over_expected", _expected),
            ("calibration_intercept", _intercept),
            ("calibration_slope", _slope),
        ):
            yield one(at(name, days), partial(of, place=place, horizon=days), bounded=False)
        benefit = partial(_benefit, place=place, horizon=days, threshold=support.thresholds[days])
        yield one(at("net_benefit", days), benefit, bounded=False)


def _uno(scene: Scene, tau: float, within: bool = True) -> np.ndarray:
    strata = scene.part.fold if within else None
    return uno_c(
        scene.specific,
        scene.part.score,
        scene.censoring_specific,
        scene.weights,
        tau=tau,
        strata=strata,
    )


def _uno_incidence(scene: Scene, tau: float) -> np.ndarray:
    part = scene.part
    return uno_c(scene.times, part.score, scene.censoring, scene.weights, tau=tau, strata=part.fold)


def _harrell(scene: Scene, within: bool = True) -> np.ndarray:
    strata = scene.part.fold if within else None
    return harrell_c(scene.specific, scene.part.score, scene.weights, strata=strata)


def _integrated(scene: Scene, places: list[int], grid: np.ndarray) -> np.ndarray:
    risk = scene.part.risk[:, places]
    return integrated_brier(scene.times, risk, grid, scene.censoring, scene.weights)


def _gap(scene: Scene, horizon: float) -> np.ndarray:
    group = scene.part.risk_group
    weights = np.ones((1, len(group))) if scene.weights is None else scene.weights
    lowest, highest = (
        restricted_mean_at(scene.times, horizon, weights * (group == end))
        for end in (group.min(), group.max())
    )
    if group.min() == group.max():
        return np.full(len(weights), np.nan)
    return lowest - highest


def _auc(scene: Scene, place: int, horizon: float) -> np.ndarray:
    risk, fold = scene.part.risk[:, place], scene.part.fold
    return dynamic_auc(scene.times, risk, horizon, scene.censoring, scene.weights, strata=fold)


def _auc_specific(scene: Scene, place: int, horizon: float) -> np.ndarray:
    risk, fold = scene.part.risk[:, place], scene.part.fold
    censoring = scene.censoring_specific
    return dynamic_auc(scene.specific, risk, horizon, censoring, scene.weights, strata=fold)


def _brier(scene: Scene, place: int, horizon: float) -> np.ndarray:
    risk = scene.part.risk[:, place]
    return brier_at(scene.times, risk, horizon, scene.censoring, scene.weights)


def _expected(scene: Scene, place: int, horizon: float) -> np.ndarray:
    return observed_over_expected(scene.times, scene.part.risk[:, place], horizon, scene.weights)


def _intercept(scene: Scene, place: int, horizon: float) -> np.ndarray:
    risk = scene.part.risk[:, place]
    return calibration_intercept_at(scene.times, risk, horizon, scene.censoring, scene.weights)


def _slope(scene: Scene, place: int, horizon: float) -> np.ndarray:
    risk = scene.part.risk[:, place]
    return calibration_slope_at(scene.times, risk, horizon, scene.censoring, scene.weights)


def _benefit(scene: Scene, place: int, horizon: float, threshold: float) -> np.ndarray:
    risk = scene.part.risk[:, place]
    return net_benefit_at(scene.times, risk, horizon, scene.weights, threshold=threshold)
