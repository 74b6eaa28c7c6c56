"""Risks by horizons, and a curve over time, of an outcome that comes with time.

Every patient is scored alone, by the path of the evaluation: the same call of the same model. So a
score does not depend on who else is scored.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from featurestore.outcomes import DAYS_IN, Target, duration_words
from fusion.bundle.record import BundleRecord, ModelRecord, TimesModelRecord, TimesOutcomeRecord
from fusion.features import FeatureTable
from fusion.models.survival import SurvivalModel, groups_of
from fusion.predict.batch import LEVEL, ArmScore, Batch, LoadedArm

_STEPS: tuple[float, ...] = (
    *(1.0, 7.0),
    *(months * DAYS_IN["months"] for months in (1, 3, 6)),
    *(years * DAYS_IN["years"] for years in (1, 2, 5, 10)),
)
"""Days between two points of a curve."""

MOST_POINTS = 60
"""Of a curve, behind time zero."""


@dataclasses.dataclass(frozen=True)
class Risk:
    """Probability of the event by some day for who is free of it at entry.

    Attributes:
        days: Since time zero.
        risk: A cumulative incidence where an event competes; None beyond what the model knows.
        low: Lower end of the interval; None without bootstrap replicates.
        high: Upper end.
    """

    days: float
    risk: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimesScore(ArmScore):
    """What one arm says.

    Attributes:
        log_hazard_ratio: Against the mean training patient.
        low: Lower end of its interval; None without bootstrap replicates.
        high: Upper end.
        risks: By each horizon.
        median: Days by which the risk reaches one half; None where it does not while it is known.
        group: Risk group, 1 the lowest.
        groups: Their number.
        curve: Risks from time zero on, as far as they are known.
    """

    log_hazard_ratio: float
    low: float | None
    high: float | None
    risks: tuple[Risk, ...]
    median: float | None
    group: int
    groups: int
    curve: tuple[Risk, ...]

    @property
    def risk(self) -> str:
        """The risk group in words."""
        ends = {1: " (lowest)", self.groups: " (highest)"} if self.groups > 1 else {}
        return f"risk group {self.group} of {self.groups}{ends.get(self.group, '')}"


def curve_days(known_until: float) -> np.ndarray:
    """Days of a curve: from 0 in steps that people count in, up to what is known."""
    step = next((s for s in _STEPS if known_until / s <= MOST_POINTS), _STEPS[-1])
    return np.asarray(step * np.arange(int(known_until / step) + 1))


class TimesScoring:
    """Scores of a bundle of this kind; see `fusion.predict.kinds.Scoring`."""

    contributions = "log hazard ratio"

    def __init__(self, record: BundleRecord) -> None:
        """Takes from the record of a bundle until when anything is known, and of how many."""
        assert isinstance(record.outcome, TimesOutcomeRecord)
        self.outcome = record.outcome
        self._horizons = np.array(record.outcome.horizons)
        self._grid = curve_days(record.outcome.known_until)
        self._least = 0.5 / max(1, record.cohort.patients)
        ends = [
            f"{name}_at_{days:g}" for days in self._horizons for name in ("risk", "low", "high")
        ]
        free = [f"event_free_at_{days:g}" for days in self._grid]
        lead = ("log_hazard_ratio", "low", "high", "risk", "median_days")
        self.columns = (*lead, *ends, *free)

    def load(self, record: ModelRecord | TimesModelRecord) -> np.ndarray:
        """The cut points of an arm."""
        assert isinstance(record, TimesModelRecord)
        return np.array(record.cut_points, dtype=float)

    def target(self, entry: np.ndarray) -> Target:
        """Free of the event at entry, and nothing more is known."""
        return Target.time_to_event(np.zeros(len(entry)), entry, entry)

    def raw(self, arm: LoadedArm, batch: Batch) -> np.ndarray:
        """Log hazard ratio of each patient; shape (patients,)."""
        none = np.empty(0)
        return np.array([_said(arm.model, batch.table.take(r), none)[0] for r in batch.rows])

    def scores(self, arm: LoadedArm, batch: Batch) -> list[ArmScore]:
        """What an arm says of each patient."""
        return [self._score(arm, batch, k) for k in range(len(batch.rows))]

    def _score(self, arm: LoadedArm, batch: Batch, k: int) -> TimesScore:
        asked = np.concatenate([self._horizons, self._grid])
        steps = arm.model.scale_.baselines[0].time
        steps = steps[steps <= self.outcome.known_until]
        patient = batch.table.take(batch.rows[k])
        lp, every = _said(arm.model, patient, np.concatenate([asked, steps]))
        own, fine = every[: len(asked)], every[len(asked) :]
        drawn = [_said(replicate, patient, asked) for replicate in arm.replicates]
        low, high = None, None
        if len(drawn) > 1:
            ends = _between(np.array([lp]), np.array([[d[0]] for d in drawn]))
            low, high = float(ends[0][0]), float(ends[1][0])
        assert patient.target.entry is not None
        band = self._band(own, [d[1] for d in drawn], asked <= patient.target.entry[0])
        risks = [
            Risk(float(days), *(float(n) if np.isfinite(n) else None for n in numbers))
            for days, *numbers in zip(asked, own, *band, strict=True)
        ]
        half = steps[fine >= 0.5]  # NaN is not
        return TimesScore(
            arm=arm.record.arm,
            log_hazard_ratio=lp,
            low=low,
            high=high,
            risks=tuple(risks[: len(self._horizons)]),
            median=float(half[0]) if len(half) else None,
            group=int(groups_of(np.array([lp]), arm.decided)[0]) + 1,
            groups=len(arm.decided) + 1,
            curve=tuple(risk for risk in risks[len(self._horizons) :] if risk.risk is not None),
        )

    def _band(
        self, risk: np.ndarray, drawn: list[np.ndarray], sure: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Intervals of risks: Student's over the replicates' log cumulative hazards.

        A risk below half a training patient is not told from that one, or the logarithm of what no
        patient had would decide. Where no two replicates have seen an event there is no interval.

        Args:
            risk: Of the model, at each day; NaN where it is not known.
            drawn: The same of each replicate.
            sure: Days up to entry, by which the patient is free of the event.

        Returns:
            Lower and upper ends; NaN where there is no interval.
        """
        if len(drawn) < 2:
            return np.full_like(risk, np.nan), np.full_like(risk, np.nan)
        others = np.stack(drawn)
        seen = np.isfinite(risk) & ((others > 0).sum(axis=0) > 1)  # NaN is not
        ends = _between(_log_hazard(risk, self._least), _log_hazard(others, self._least))
        low, high = (np.where(seen, -np.expm1(-np.exp(end)), np.nan) for end in ends)
        low, high = np.minimum(low, risk), np.maximum(high, risk)
        return np.where(sure, 0.0, low), np.where(sure, 0.0, high)

    def numbers(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must be finite."""
        assert isinstance(score, TimesScore)
        yield score.log_hazard_ratio
        for ends in (_ends(score), *map(_ends, (*score.risks, *score.curve))):
            yield from (ends or {}).values()

    def probabilities(self, score: ArmScore) -> Iterator[float]:
        """Numbers that must lie between 0 and 1."""
        assert isinstance(score, TimesScore)
        yield from (r.risk for r in (*score.risks, *score.curve) if r.risk is not None)

    def first(self, score: ArmScore) -> dict[str, Any]:
        """The score of the first arm as plain JSON."""
        assert isinstance(score, TimesScore)
        curve = score.curve
        banded = any(r.low is not None for r in curve)
        return {
            **self.other(score),
            "time_zero": self.outcome.time_zero,
            "known_until_days": self.outcome.known_until,
            "curve": {
                "days": [r.days for r in curve],
                "event_free": [_free(r.risk) for r in curve],
                "low": [_free(r.high) for r in curve] if banded else None,
                "high": [_free(r.low) for r in curve] if banded else None,
            },
        }

    def other(self, score: ArmScore) -> dict[str, Any]:
        """The score of another arm as plain JSON."""
        assert isinstance(score, TimesScore)
        return {
            "log_hazard_ratio": score.log_hazard_ratio,
            "interval": _ends(score),
            "risk": score.risk,
            "risks": [
                {
                    "days": r.days,
                    "horizon": duration_words(r.days),
                    "risk": r.risk,
                    "interval": _ends(r),
                }
                for r in score.risks
            ],
            "median_days": score.median,
        }

    def row(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Cells of `columns`, of the JSON of a prediction or of a failure."""
        cells: dict[str, Any] = dict.fromkeys(self.columns)
        for name in ("log_hazard_ratio", "risk", "median_days"):
            cells[name] = record.get(name)
        interval = record.get("interval") or {}
        cells |= {"low": interval.get("low"), "high": interval.get("high")}
        for one in record.get("risks", ()):
            ends = one["interval"] or {}
            found = {"risk": one["risk"], "low": ends.get("low"), "high": ends.get("high")}
            cells |= {f"{name}_at_{one['days']:g}": value for name, value in found.items()}
        curve = record.get("curve") or {"days": (), "event_free": ()}
        for days, free in zip(curve["days"], curve["event_free"], strict=True):
            cells[f"event_free_at_{days:g}"] = free
        return cells

    def title(self, record: Mapping[str, Any]) -> str:
        """The score in a few words, of the JSON of a prediction."""
        known = [r for r in record["risks"] if r["risk"] is not None]
        if not known:
            return f"log hazard ratio {record['log_hazard_ratio']:.2f}"
        return f"risk by {known[-1]['horizon']} {known[-1]['risk']:.3f}"


def _said(
    model: SurvivalModel, patient: FeatureTable, days: np.ndarray
) -> tuple[float, np.ndarray]:
    """Log hazard ratio of one patient, and risks by some days, (days,)."""
    found = model.predict(patient, days)
    return float(found.score[0]), found.risk[0]


def _log_hazard(risk: np.ndarray, least: float) -> np.ndarray:
    return np.asarray(np.log(-np.log1p(-np.clip(risk, least, 1 - 1e-12))))


def _between(centre: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Student's intervals around numbers, of their standard deviations over replicates.

    Args:
        centre: Shape (n,).
        drawn: Shape (replicates, n); NaN where a replicate knows nothing.
    """
    known = np.isfinite(drawn)
    count = np.maximum(known.sum(axis=0), 2)
    mean = np.where(known, drawn, 0.0).sum(axis=0) / count
    squares = np.where(known, (drawn - mean) ** 2, 0.0).sum(axis=0)
    reach = _quantiles(len(drawn))[count] * np.sqrt(squares / (count - 1))
    return centre - reach, centre + reach


@functools.cache
def _quantiles(most: int) -> np.ndarray:
    """Quantile of Student's t by number of replicates, from 2 on."""
    return np.asarray(student_t.ppf((1 + LEVEL) / 2, np.maximum(np.arange(most + 1) - 1, 1)))


def _free(risk: float | None) -> float | None:
    return None if risk is None else 1.0 - risk


def _ends(one: TimesScore | Risk) -> dict[str, float] | None:
    if one.low is None or one.high is None:
        return None
    return {"low": one.low, "high": one.high, "level": LEVEL}
