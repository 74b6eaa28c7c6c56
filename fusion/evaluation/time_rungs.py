"""Rungs of the time ladder: the same follow-up with other times zero, and who is left on each.

A specimen is taken some days after time zero, and what it shows is known from then on. Nobody can
be in the data who was not followed until then: the days before it are immortal time (Suissa 2008,
American Journal of Epidemiology 167:492), and events before it are no events that it could predict.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from fusion.metrics.survival import EVENT, Times

FROM_ZERO, DELAYED, FROM_SPECIMEN, CLEARED, PRIMARIES = (
    "from time zero",
    "delayed entry",
    "from the specimen",
    "earlier events out",
    "primaries only",
)
NO_DAY = "the day of the specimen is not recorded"
HAD_EVENT = "the event came on or before the day of the specimen"
ENDED = "observation ended on or before the day of the specimen"


@dataclasses.dataclass(frozen=True)
class RungRows:
    """Who stands on one rung, and their times there.

    Attributes:
        name: Short name.
        title: What the rung is.
        takes_away: What it takes away from the rung above; empty on the first.
        kept: Who of all n patients stands on it. Shape (n,).
        times: Follow-up of those who do, on the clock of the rung.
        at_once: Of their events those that count at time zero, because they came before it.
        left_out: How many of the n are left out, by reason.
    """

    name: str
    title: str
    takes_away: str
    kept: np.ndarray
    times: Times
    at_once: int
    left_out: dict[str, int]


def time_rungs(times: Times, day: np.ndarray, primary: np.ndarray) -> tuple[RungRows, ...]:
    """Makes every rung; one that nobody stands on has no times, and says who is left out.

    Args:
        times: Follow-up of n patients from time zero on, everyone under observation from there.
        day: Day of each patient's specimen since time zero; one before it counts as time zero. NaN
            where it is not recorded, and is not guessed. Shape (n,).
        primary: 1 where the specimen is the primary tumour, 0 where it is not, NaN where that is
            not known. Shape (n,).
    """
    began = np.maximum(day, 0.0)
    known, event = np.isfinite(day), times.event == EVENT
    with np.errstate(invalid="ignore"):
        later = known & (times.time > began)
    before, ended = known & ~later & event, known & ~later & ~event
    absent = {NO_DAY: ~known, HAD_EVENT: before, ENDED: ended}
    since = np.where(known, np.maximum(times.time - began, 0.0), times.time)
    from_specimen = Times(since, times.event, np.zeros(len(times)))
    zero = from_specimen.entry
    return (
        _rung(FROM_ZERO, "from time zero, everyone", "", Times(times.time, times.event, zero), {}),
        _rung(
            DELAYED,
            "from time zero, under observation from the specimen on",
            "days on which nobody could have been lost",
            Times(times.time, times.event, np.where(known, began, 0.0)),
            absent,
        ),
        _rung(
            FROM_SPECIMEN,
            "from the specimen, earlier events count at once",
            "the time between time zero and specimen",
            from_specimen,
            {NO_DAY: ~known, ENDED: ended},
            before,
        ),
        _rung(
            CLEARED,
            "from the specimen, without earlier events",
            "events that the specimen cannot predict",
            from_specimen,
            absent,
        ),
        _rung(
            PRIMARIES,
            "primaries only, from the specimen",
            "specimens that are metastases",
            from_specimen,
            {
                "the specimen is no primary": primary == 0,
                "whether the specimen is a primary is not recorded": np.isnan(primary),
                **absent,
            },
        ),
    )


def _rung(
    name: str,
    title: str,
    takes_away: str,
    times: Times,
    absent: dict[str, np.ndarray],
    at_once: np.ndarray | None = None,
) -> RungRows:
    kept = np.ones(len(times), dtype=bool)
    left_out = {}
    for reason, who in absent.items():  # a patient is counted under the first reason
        if (kept & who).any():
            left_out[reason] = int((kept & who).sum())
        kept &= ~who
    early = 0 if at_once is None else int((at_once & kept).sum())
    return RungRows(name, title, takes_away, kept, times.take(kept), early, left_out)
