"""Simulated cohorts whose true risks are known, and with them the true value of every metric."""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.metrics.survival.brier import brier_at
from fusion.metrics.survival.censoring import censoring_distribution
from fusion.metrics.survival.concordance import uno_c
from fusion.metrics.survival.dynamic_auc import dynamic_auc
from fusion.metrics.survival.times import Times

BLOCK = 2000  # rows of the simulation that are compared pair by pair at once


@dataclasses.dataclass(frozen=True)
class Design:
    """Proportional hazards over a Weibull baseline.

    Attributes:
        effect: Standard deviation of the true log hazard ratio.
        shape: Of the Weibull distribution.
        scale: Of it, for a log hazard ratio of 0.
        competing: Hazard of the competing event relative to the event's at a log hazard ratio of 0.
        censoring: Rate of exponential censoring from entry on.
        late: Share of rows that come under observation late, uniformly up to `scale`.
        rounding: Times are rounded up to multiples of this; 0 for none.
    """

    effect: float = 1.0
    shape: float = 1.3
    scale: float = 5.0
    competing: float = 0.0
    censoring: float = 0.1
    late: float = 0.0
    rounding: float = 0.0


@dataclasses.dataclass(frozen=True)
class Simulated:
    """A cohort.

    Attributes:
        times: As observed.
        uncensored: As they would be had nobody been censored.
        log_hazard_ratio: The truth. Shape (n,).
        design: What made it.
    """

    times: Times
    uncensored: Times
    log_hazard_ratio: np.ndarray
    design: Design

    def risk(self, horizon: float) -> np.ndarray:
        """True probability of the event by a horizon, given no event before entry. Shape (n,)."""
        d, own = self.design, np.exp(self.log_hazard_ratio)
        span = np.maximum(horizon**d.shape - self.times.entry**d.shape, 0.0) / d.scale**d.shape
        total = own + d.competing
        return np.asarray(own / total * -np.expm1(-total * span))


@dataclasses.dataclass(frozen=True)
class Truth:
    """Values of the true risk at a horizon without censoring.

    Attributes:
        concordance: Of events up to the horizon.
        auc: Cumulative/dynamic AUC.
        brier: Brier score.
    """

    concordance: float
    auc: float
    brier: float


def simulate(design: Design, rows: int, seed: int) -> Simulated:
    """Draws a cohort; rows whose event came before their entry were never seen and are redrawn."""
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    while sum(part.shape[1] for part in kept) < rows:
        kept.append(_drawn(design, rows, rng))
    lp, entry, event_time, code, censored = np.concatenate(kept, axis=1)[:, :rows]
    seen = event_time <= censored
    time = np.where(seen, event_time, censored)
    times = Times(time, np.where(seen, code, 0).astype(np.int64), entry)
    return Simulated(times, Times(event_time, code.astype(np.int64), entry), lp, design)


def truth(design: Design, horizon: float, blocks: int = 20, seed: int = 0) -> Truth:
    """True values by Monte Carlo over `blocks` uncensored cohorts of `BLOCK` rows."""
    found = []
    for block in range(blocks):
        cohort = simulate(design, BLOCK, seed + block)
        times, risk = cohort.uncensored, cohort.risk(horizon)
        nobody = censoring_distribution(times)
        score = cohort.log_hazard_ratio
        found.append(
            (
                uno_c(times, score, nobody, tau=horizon)[0],
                dynamic_auc(times, risk, horizon, nobody)[0],
                brier_at(times, risk, horizon, nobody)[0],
            )
        )
    return Truth(*map(float, np.mean(found, axis=0)))


def _drawn(design: Design, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Rows that were seen: log hazard ratio, entry, time, code and censoring. Shape (5, kept)."""
    lp = rng.normal(0.0, design.effect, rows)
    own = np.exp(lp)
    total = own + design.competing
    time = design.scale * (rng.exponential(size=rows) / total) ** (1 / design.shape)
    code = np.where(rng.random(rows) < own / total, 1, 2)
    entry = np.where(rng.random(rows) < design.late, rng.uniform(0, design.scale, rows), 0.0)
    rate = max(design.censoring, 1e-12)
    censored = entry + rng.exponential(1 / rate, rows)
    if design.rounding:
        time, censored = (np.ceil(t / design.rounding) * design.rounding for t in (time, censored))
        entry = np.floor(entry / design.rounding) * design.rounding
    seen = time > entry
    return np.stack([lp, entry, time, code, censored])[:, seen]
