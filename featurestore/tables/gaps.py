"""Gaps: why a value is missing, as far as the source says it.

Sources write why (`[Not Evaluated]`, `[Not Applicable]`, an unreadable text) and a table of floats
forgets it. Gaps keep it in a long table beside the values: `GAP_COLUMNS`, one row a patient and
column. A gap counts only where the value is still missing once all sources are joined.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

GAP_COLUMNS = ("patient_id", "column", "reason")


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason why a value is missing.

    Attributes:
        name: Name in tables.
        label: Words for value labels.
        pattern: What a text says that means it; compared without case.
    """

    name: str
    label: str
    pattern: str = ""


REASONS: tuple[Reason, ...] = (
    Reason("not_applicable", "not applicable", r"not applicable|inapplicable|n\.a\."),
    Reason(
        "not_evaluated",
        "not evaluated",
        r"not (?:evaluated|assessed|tested|done|performed|measured|examined|assigned)",
    ),
    Reason("unknown", "unknown to the source", r"unknown|unk\b|not known|uncertain"),
    Reason(
        "pending",
        "withheld by the source (pending, discrepancy or error)",
        r"pending|discrepancy|error|completed|redacted|withheld",
    ),
    Reason("unreadable", "a text that is no value of this variable"),
    Reason("no_record", "no record of the patient in the source"),
    Reason("no_image", "the patient has no image"),
    Reason("not_available", "not available", r"."),
    Reason("event_of_unknown_kind", "an event of unknown kind"),
)
"""In the order in which texts are compared; the number of a reason is its place here, from 1. A
reason keeps its place, because the place is its code in exported files."""

CODES = {reason.name: place for place, reason in enumerate(REASONS, start=1)}
LABELS = {place: reason.label for place, reason in enumerate(REASONS, start=1)}


def reason_of(text: str) -> str:
    """Name of the reason that a text for a missing value gives; empty for an empty text.

    A text that names no other reason (`NA`, `'--`, `not reported`) says that the value is not
    available.
    """
    said = text.strip().casefold()
    if not said:
        return ""
    return next(r.name for r in REASONS if r.pattern and re.search(r.pattern, said))


def no_gaps() -> pd.DataFrame:
    """A gaps table without rows."""
    return pd.DataFrame(columns=list(GAP_COLUMNS), dtype="str")


def find_gaps(
    column: str, texts: pd.Series, known: pd.Series, rejected: pd.Index, ids: pd.Series
) -> pd.DataFrame:
    """Gaps of one column as it is read from texts.

    Args:
        column: Name of the column in the patients table.
        texts: Its texts in the file; index of the table.
        known: The same, NaN where a text says that there is no value.
        rejected: Rows whose text could not be read.
        ids: Patient of each row; index of the table.
    """
    said = texts[texts.notna() & known.isna()]
    said = said[said.str.strip() != ""]
    reasons = said.map({text: reason_of(text) for text in said.unique()})
    unreadable = pd.Series("unreadable", index=rejected, dtype="str")
    found = pd.concat([reasons.astype("str"), unreadable])
    return pd.DataFrame(
        {"patient_id": ids[found.index], "column": column, "reason": found}, dtype="str"
    )


def unassigned(column: str, rows: pd.Index, ids: pd.Series) -> pd.DataFrame:
    """Gaps of rows whose text says on purpose that no level was assigned (TX, NX)."""
    return pd.DataFrame(
        {"patient_id": ids[rows], "column": column, "reason": "not_evaluated"}, dtype="str"
    )


def without_record(
    column: str, with_record: Collection[str], patients: Iterable[str]
) -> pd.DataFrame:
    """Gaps of the patients that no source of a column has a row of."""
    absent = sorted(set(patients) - set(with_record))
    return pd.DataFrame(
        {"patient_id": absent, "column": column, "reason": "no_record"}, dtype="str"
    )


def joined_gaps(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """One gaps table, sorted; of several reasons for one value the first by code counts."""
    rows = pd.concat([no_gaps(), *parts], ignore_index=True)
    rows = rows.assign(_code=rows["reason"].map(CODES))
    rows = rows.sort_values(["patient_id", "column", "_code"], ignore_index=True)
    rows = rows.drop_duplicates(["patient_id", "column"], ignore_index=True)
    return rows[list(GAP_COLUMNS)].astype("str")


def reason_codes(gaps: pd.DataFrame, ids: pd.Series) -> dict[str, np.ndarray]:
    """Codes of the reasons by column; 0 where none is stated.

    Args:
        gaps: A gaps table.
        ids: Patient of each row of the table that the codes are for.
    """
    return {
        str(column): ids.map(dict(zip(rows["patient_id"], rows["reason"].map(CODES), strict=True)))
        .fillna(0)
        .to_numpy(dtype=np.int8)
        for column, rows in gaps.groupby("column")
    }
