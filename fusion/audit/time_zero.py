"""Times that end before they begin, and patients who were left out because theirs did."""

from __future__ import annotations

import re
from collections.abc import Iterator

from featurestore.errors import name_some
from featurestore.outcomes import ENTRY, TIME
from featurestore.tables import OUTCOME_STAGE
from fusion.audit.base import AuditSubject, Check, Hit

MANY = 0.05
"""Share of patients left out for this, from which on who is studied depends on time zero."""

LEFT_OUT = re.compile(r"\btime zero\b|\bobservation begins\b")
"""Reasons of exclusions that say so (`featurestore.outcomes`)."""

NAMED = 5


def _before(subject: AuditSubject) -> Iterator[Hit]:
    patients = subject.cohort.patients.sort_values("patient_id")
    time, entry = patients[TIME].astype(float), patients[ENTRY].astype(float)
    for wrong, words in (
        (time < 0, "end before time zero"),
        (time == 0, "end at time zero: what happened was known when the prediction would be made"),
        ((entry >= time) & (time > 0), "end before the patient came under observation"),
    ):
        ids = patients.loc[wrong, "patient_id"].astype(str).tolist()
        if ids:
            yield Hit(
                f"The times of {len(ids)} patients {words}: {name_some(ids, NAMED)}.",
                ("times",),
                float(len(ids)),
            )
    yield from _left_out(subject)


def _left_out(subject: AuditSubject) -> Iterator[Hit]:
    rows = subject.cohort.exclusions
    rows = rows[(rows["entity"] == "patient") & (rows["stage"] == OUTCOME_STAGE)]
    reasons = rows["reason"].astype("str")
    found = reasons[reasons.map(lambda text: bool(LEFT_OUT.search(text)))]
    of = len(found) + subject.cohort.n_patients
    if len(found) and len(found) >= MANY * of:
        counts = found.value_counts().sort_index()
        said = "; ".join(f"{reason}: {n}" for reason, n in counts.items())
        yield Hit(
            f"{len(found)} of {of} patients were left out because their time ended before they "
            f"could have been observed ({said}): time zero, or when predictors were measured, is "
            "later than the events that are predicted.",
            ("left out",),
            len(found) / of,
        )


CHECKS = (
    Check(
        "before_time_zero",
        "Time that ends before it begins",
        "Times that are zero or negative, or end before the patient came under observation, and "
        f"whether {MANY:.0%} of the patients or more were left out for this.",
        "warning",
        "Count time from when the predictors were known (the specimen), or let patients enter "
        "then (cohort.outcome.entry).",
        _before,
        kind="time_to_event",
    ),
)
