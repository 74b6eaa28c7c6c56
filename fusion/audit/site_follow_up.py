"""Whether sites followed their patients for different times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from featurestore.cohort import UNKNOWN_SITE
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.subject_views import follow_up_of
from fusion.metrics.survival import Times, follow_up, log_rank

CHANCE = 1e-4
"""p of the log-rank test of censoring, below which sites differ."""

TIMES_AS_LONG = 1.5
"""Ratio of the longest to the shortest median follow-up of a site, from which on it matters."""

FEWEST = 20
"""Patients of a site."""

NAMED = 4


def _large(subject: AuditSubject) -> tuple[pd.Series, Times]:
    """Site of each person of a site that is large enough, and their follow-up."""
    people, times = follow_up_of(subject)
    sites = people["site"].astype(str)
    counts = sites.value_counts()
    kept = (sites.map(counts) >= FEWEST) & (sites != UNKNOWN_SITE)
    return sites[kept], times.take(kept.to_numpy())


def _differ(subject: AuditSubject) -> Iterator[Hit]:
    sites, times = _large(subject)
    lost = Times(times.time, (times.event == 0).astype(np.int64), times.entry)
    p = log_rank(lost, sites.to_numpy()).p
    medians = {}
    for site in sorted(set(sites)):
        own = follow_up(times.take((sites == site).to_numpy()))
        median = own.quantile().value
        # Where less than half were lost, follow-up is at least as long as the longest time.
        medians[site] = float(median if np.isfinite(median) else own.time[-1])
    shortest, longest = min(medians.values()), max(medians.values())
    if not p < CHANCE or longest < TIMES_AS_LONG * max(shortest, 1e-9):
        return
    ranked = sorted(medians.items(), key=lambda item: (item[1], item[0]))
    ends = ranked if len(ranked) <= NAMED else [*ranked[: NAMED // 2], *ranked[-NAMED // 2 :]]
    said = "; ".join(f"{site} {days / 365.25:.1f} years" for site, days in ends)
    yield Hit(
        f"Sites differ in how long they followed patients (p = {p:.1g}); median follow-up {said}. "
        "Weights for censoring are counted over all sites together.",
        ("site",),
        longest / max(shortest, 1e-9),
    )


def _applies(subject: AuditSubject) -> str:
    sites, _ = _large(subject)
    few = sites.nunique() < 2
    return f"fewer than two sites have {FEWEST} patients" if few else ""


CHECKS = (
    Check(
        "site_follow_up",
        "Sites that differ in follow-up",
        f"Log-rank test of censoring between sites of {FEWEST} patients or more, and their median "
        f"follow-up; reported below p = {CHANCE:g} where it differs by a factor of "
        f"{TIMES_AS_LONG:g}.",
        "warning",
        "Compare arms within sites, or end follow-up of all sites where that of the shortest ends.",
        _differ,
        _applies,
        kind="time_to_event",
    ),
)
