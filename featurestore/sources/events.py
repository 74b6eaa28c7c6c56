"""Dated events after diagnosis, out of the tables in which TCGA's sites reported them.

A patient's events stand in the table of new tumour events (one row an event) and in the follow-up
table (one row a visit, several events joined by bars). Here they become one list, and the list
becomes columns by stated rules.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.tables import Column, DataDictionary, exclusions_table, known_text
from featurestore.tables.vocabulary import VOCABULARY

DISTANT = "distant metastasis"
EVENT_COLUMNS = ("patient_id", "kind", "days")
EVENT_HEADERS = (
    "new_neoplasm_event_type",
    "days_to_new_tumor_event_after_initial_treatment",
)
"""Columns of kind and day in the tables of the Biospecimen Core Resource."""

_STAGE = "read"


def listed_events(table: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    """Events of a table with kind and day, bars split.

    Where a cell joins several kinds with as many days they belong together in this order; with
    another number of days the days are not known.

    Args:
        table: Text, with the columns of the kind and of the days.
        ids: Patient of each row.

    Returns:
        `EVENT_COLUMNS`; rows without kind and day are left out.
    """
    patients: list[str] = []
    kinds: list[str] = []
    days: list[str] = []
    for patient, kind, day in zip(ids, *(table[h] for h in EVENT_HEADERS), strict=True):
        kind_parts = [part.strip() for part in str(kind).split("|")]
        day_parts = [part.strip() for part in str(day).split("|")]
        if len(day_parts) != len(kind_parts):
            day_parts = [""] * len(kind_parts)
        patients += [str(patient)] * len(kind_parts)
        kinds += kind_parts
        days += day_parts
    found = (patients, _known(kinds), _numbers(days))
    events = pd.DataFrame(dict(zip(EVENT_COLUMNS, found, strict=True)))
    events = events.astype({"patient_id": "str", "kind": "str", "days": float})
    return events[events["kind"].notna() | np.isfinite(events["days"])].reset_index(drop=True)


def event_columns(
    patients: pd.Series, events: pd.DataFrame, indicated: pd.Series
) -> tuple[pd.DataFrame, DataDictionary, pd.DataFrame]:
    """Turns events into one row a patient.

    - `new_tumor_event`: 1 with any event, else what the indicators say.
    - `distant_metastasis`: 1 with a distant metastasis after the day of diagnosis, or without a
      day; 0 if the patient's events are of known other kinds, or are denied; else missing. A
      distant metastasis on or before the day of diagnosis is none after it and is reported.
    - the days are those of the first such event.

    Args:
        patients: All patients.
        events: `EVENT_COLUMNS`.
        indicated: 1.0, 0.0 or NaN by patient id: whether the sites said that there was an event.

    Returns:
        Columns (index as `patients`), what they are, and the exclusions table.
    """
    after = ~(events["days"] <= 0)
    distant = events["kind"] == DISTANT
    early = events[distant & ~after]
    rows = [
        ("value", patient, _STAGE, "distant metastasis on or before the day of diagnosis")
        for patient in early["patient_id"]
    ]
    found = events[distant & after]
    said = patients.map(indicated)
    any_event = patients.isin(set(events["patient_id"]))
    unknown = set(events.loc[events["kind"].isna(), "patient_id"])
    distant_patients = set(found["patient_id"])
    named = set(events.loc[events["kind"].notna(), "patient_id"])
    free = ((said == 0) & ~any_event) | (patients.isin(named) & ~patients.isin(unknown))
    metastasis = pd.Series(np.nan, index=patients.index)
    metastasis[free] = 0.0
    metastasis[patients.isin(distant_patients)] = 1.0
    frame = pd.DataFrame(
        {
            "new_tumor_event": said.where(~any_event, 1.0).astype(float),
            "days_to_new_tumor_event": patients.map(_first_day(events[after])).astype(float),
            "distant_metastasis": metastasis,
            "days_to_distant_metastasis": patients.map(_first_day(found)).astype(float),
        },
        index=patients.index,
    )
    contradicted = patients[(said == 0) & any_event]
    rows += [
        ("value", str(p), _STAGE, "new_tumor_event: an event is listed though one table denies it")
        for p in contradicted
    ]
    dictionary = DataDictionary(_entry(str(name)) for name in frame.columns)
    return frame, dictionary, exclusions_table(rows)


def _entry(name: str) -> Column:
    return dataclasses.replace(VOCABULARY[name].column, source_column="listed events")


def _first_day(events: pd.DataFrame) -> pd.Series:
    return events.dropna(subset="days").groupby("patient_id")["days"].min()


def _known(texts: list[str]) -> list[str | None]:
    known = known_text(pd.Series(texts, dtype="str")).values
    return [None if pd.isna(text) else str(text).casefold() for text in known]


def _numbers(texts: list[str]) -> list[float]:
    known = known_text(pd.Series(texts, dtype="str")).values
    return [float(v) for v in pd.to_numeric(known, errors="coerce")]
