"""How long patients were followed: median, numbers at risk and events by horizon."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy.stats import CensoredData, ecdf

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import COMPETING, ENTRY, EVENT, TIME, duration_words, parse_duration
from featurestore.outcomes.target import CENSORED

AT_RISK = ("days", "at_risk", "events", "competing", "censored")
_YEARS = tuple(parse_duration(text) for text in ("1y", "2y", "5y"))


@dataclasses.dataclass(frozen=True)
class FollowUp:
    """Follow-up of a cohort whose outcome is a time.

    Attributes:
        time_zero: From when times are counted, in words.
        median: Median follow-up in days by the reverse Kaplan-Meier method, from time zero; None
            where it is not reached.
        longest: Longest time, in days.
        late: Patients who came under observation after time zero.
        at_risk: One row a time, `AT_RISK`: days since time zero, patients under observation then,
            and those whose time had ended before or then, by what ended it.
    """

    time_zero: str
    median: float | None
    longest: float
    late: int
    at_risk: pd.DataFrame

    @property
    def sentence(self) -> str:
        """The follow-up in a sentence."""
        reached = "not reached" if self.median is None else duration_words(self.median)
        late = f"; {self.late:,} patients came under observation later" if self.late else ""
        return (
            f"time zero: {self.time_zero}; median follow-up {reached} (reverse Kaplan-Meier), "
            f"longest time {duration_words(self.longest)}{late}"
        )


def follow_up(cohort: Cohort) -> FollowUp | None:
    """Describes the follow-up; None where the outcome has no times."""
    if TIME not in cohort.patients.columns:
        return None
    code, time, entry = (cohort.patients[c].to_numpy(dtype=float) for c in ("outcome", TIME, ENTRY))
    longest = float(time.max())
    days = sorted({0.0, _YEARS[0], *cohort.outcome.horizons})
    rows = [
        {
            "days": at,
            "at_risk": int(((time > at) & ((entry < at) | (entry == 0))).sum()),
            "events": int(((code == EVENT) & (time <= at)).sum()),
            "competing": int(((code == COMPETING) & (time <= at)).sum()),
            "censored": int(((code == CENSORED) & (time <= at)).sum()),
        }
        for at in days
        if at < longest
    ]
    return FollowUp(
        time_zero=cohort.outcome.time_zero,
        median=reverse_median(code, time),
        longest=longest,
        late=int((entry > 0).sum()),
        at_risk=pd.DataFrame(rows, columns=list(AT_RISK)),
    )


def reverse_median(code: np.ndarray, time: np.ndarray) -> float | None:
    """Median follow-up by the reverse Kaplan-Meier method: censoring is the event.

    Source: Schemper and Smith 1996, Controlled Clinical Trials 17:343. Late entry is not taken
    into account: follow-up counts from time zero.

    Args:
        code: What ended each time. Shape (n,).
        time: Days. Shape (n,).

    Returns:
        The first day by which half would have been censored had no event come; None if that is
        not reached.
    """
    censored = code == CENSORED
    if not censored.any():
        return None
    free = ecdf(CensoredData(uncensored=time[censored], right=time[~censored])).sf
    reached = free.quantiles[free.probabilities <= 0.5]
    return float(reached[0]) if len(reached) else None


def short_follow_up(cohort: Cohort) -> str:
    """Says of an outcome without times how many without it were hardly followed; else nothing."""
    column = cohort.outcome.followed
    if column not in cohort.patients.columns:
        return ""
    days = cohort.patients.loc[~cohort.has_event, column].astype(float)
    short = [
        f"{int((days < limit).sum())} for less than {duration_words(limit)}" for limit in _YEARS
    ]
    unknown = int(days.isna().sum())
    more = f"; of {unknown} it is not known" if unknown else ""
    return (
        f"Of the {len(days)} {cohort.noun.many} without {cohort.outcome.name}, who count as free "
        f"of it, {', '.join(short[:-1])} and {short[-1]} were followed{more}."
    )
