"""Why values of a cohort are missing, as far as its sources say it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.sources import SourceTables
from featurestore.tables import CODES, LABELS, joined_gaps, without_record


def why_unknown(cohort: Cohort) -> pd.Series:
    """What sources say of why the outcome of each patient is unknown; empty where they do not."""
    stated = cohort.gaps[cohort.gaps["column"].isin(cohort.outcome.rule.columns)]
    labels = stated["reason"].map(CODES).map(LABELS)
    by_patient = (" (" + labels + ")").groupby(stated["patient_id"]).first()
    return cohort.patients["patient_id"].map(by_patient).astype("str").fillna("")


def gaps_of(tables: Sequence[SourceTables], patients: pd.DataFrame) -> pd.DataFrame:
    """Why values are missing that are missing after the join.

    Expression columns are left out: there are too many, and a patient has all of them or none.
    """
    recorded: dict[str, set[str]] = {}
    for table in tables:
        for column in table.dictionary:
            if column.kind != "expression":
                recorded.setdefault(column.name, set()).update(table.patients["patient_id"])
    ids = patients["patient_id"]
    absent = [without_record(name, known, ids) for name, known in recorded.items()]
    found = joined_gaps([*(table.gaps for table in tables), *absent])
    by_id = patients.set_index("patient_id")
    missing = {name: set(by_id.index[by_id[name].isna()]) for name in recorded}
    rows = zip(found["patient_id"], found["column"], strict=True)
    still = [patient in missing.get(column, ()) for patient, column in rows]
    return found[pd.Series(still, index=found.index, dtype=bool)].reset_index(drop=True)
