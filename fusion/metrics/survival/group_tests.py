"""Log-rank test of equal hazards in two or more groups."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.stats import chi2

from featurestore.errors import DataError
from fusion.metrics.survival._risk_sets import risk_sets
from fusion.metrics.survival.times import Times


@dataclasses.dataclass(frozen=True)
class LogRank:
    """A log-rank test.

    Attributes:
        groups: Their names, sorted. Shape (g,).
        observed: Events in each. Shape (g,).
        expected: Events expected in each if all had one hazard. Shape (g,).
        chi2: Test statistic; NaN where it is not defined.
        df: Degrees of freedom, g − 1.
        p: Its p.
    """

    groups: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    chi2: float
    df: int
    p: float


def log_rank(times: Times, group: np.ndarray) -> LogRank:
    """Compares events of any kind between groups (Mantel 1966; Peto & Peto 1972).

    Hypergeometric variance, risk sets with delayed entry. Equals `survdiff(Surv(time, event) ~
    group)` of R survival to 10 digits; with delayed entry, which survdiff does not know, and
    without ties, the score test of `coxph(Surv(entry, time, event) ~ factor(group))`.

    Args:
        times: Follow-up of n rows.
        group: Group of each row. Shape (n,).

    Raises:
        DataError: There is only one group.
    """
    groups, member = np.unique(group, return_inverse=True)
    if len(groups) < 2 or len(member) != len(times):
        raise DataError("a log-rank test needs two groups or more, one group for each row")
    weights = (member == np.arange(len(groups))[:, None]).astype(float)
    sets = risk_sets(times, weights)
    at_risk, events = sets.at_risk.sum(axis=1), sets.ended.sum(axis=1)
    some = events > 0
    shares = sets.at_risk[some] / at_risk[some, None]
    at_risk, events = at_risk[some], events[some]
    observed, expected = sets.ended.sum(axis=0), events @ shares
    spread = events * np.where(at_risk > 1, (at_risk - events) / np.maximum(at_risk - 1, 1), 0.0)
    covariance = np.diag(spread @ shares) - (shares * spread[:, None]).T @ shares
    excess = (observed - expected)[1:]
    df = len(groups) - 1
    try:
        statistic = float(excess @ np.linalg.solve(covariance[1:, 1:], excess))
    except np.linalg.LinAlgError:
        statistic = float("nan")
    return LogRank(groups, observed, expected, statistic, df, float(chi2.sf(statistic, df)))
