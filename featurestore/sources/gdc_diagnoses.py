"""Which of a case's diagnoses counts: the GDC writes a row for every one of them.

A case may have a prior primary and later metastases beside the disease that it is in the project
for, each with an age and a stage of its own. `diagnosis_is_primary_disease` names the right one;
older exports do not have it, and then the classification of the tumour and the days since the
diagnosis that the case is dated by (day 0) do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.tables import exclusions_table, known_text

FLAG = ("diagnoses.diagnosis_is_primary_disease", "diagnosis_is_primary_disease")
CLASS = ("diagnoses.classification_of_tumor", "classification_of_tumor")
DAYS = ("diagnoses.days_to_diagnosis", "days_to_diagnosis")
IDS = ("diagnoses.diagnosis_id", "diagnosis_id", "diagnoses.submitter_id")
USED = (*FLAG, *CLASS, *DAYS, *IDS)
"""Headers that are looked at here and become no columns."""

_STAGE = "read"
_SECTION = "diagnoses."


def one_diagnosis(
    table: pd.DataFrame, case: str, values: tuple[str, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of one diagnosis of every case.

    Args:
        table: Text, one row a case, diagnosis and treatment.
        case: Column of the case's id.
        values: Columns of a diagnosis, for tables whose headers do not say which are.

    Returns:
        The rows kept, and an exclusions table that names the cases whose diagnoses nothing tells
        apart; of these the first as text is kept.
    """
    own = [c for c in table.columns if c.startswith(_SECTION)] or [
        c for c in table.columns if c in (*values, *USED)
    ]
    if not own or table.empty:
        return table, exclusions_table()
    name = next((n for n in IDS if n in table.columns), None)
    content = table[sorted(own)].agg("\t".join, axis=1)
    diagnosis = content
    if name is not None:
        stated = known_text(table[name], guessed=True).values
        diagnosis = stated.where(stated.notna(), content)
    ranked = pd.DataFrame(
        {
            "case": table[case],
            "flag": _flag(table),
            "class": _class(table),
            "days": _days(table),
            "content": content,
            "diagnosis": diagnosis,
        }
    )
    order = ["flag", "class", "days"]
    ranked = ranked.sort_values(["case", *order, "content"])
    best = ranked.groupby("case")[[*order, "diagnosis"]].transform("first")
    tied = ranked[(ranked[order] == best[order]).all(axis=1)].groupby("case")["diagnosis"].nunique()
    reports = [
        (
            "value",
            str(who),
            _STAGE,
            f"{count} diagnoses that nothing marks as the primary disease; first as text kept",
        )
        for who, count in tied[tied > 1].items()
    ]
    kept = ranked.index[ranked["diagnosis"] == best["diagnosis"]]
    return table[table.index.isin(kept)].reset_index(drop=True), exclusions_table(reports)


def _known(table: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    name = next((n for n in names if n in table.columns), None)
    if name is None:
        return pd.Series(pd.NA, index=table.index, dtype="str")
    return known_text(table[name], guessed=True).values.str.casefold()


def _flag(table: pd.DataFrame) -> pd.Series:
    return _known(table, FLAG).map({"true": 0, "false": 2}).fillna(1)


def _class(table: pd.DataFrame) -> pd.Series:
    kind = _known(table, CLASS)
    return (kind != "primary").astype(float).mask(kind.notna() & (kind != "primary"), 2.0).fillna(1)


def _days(table: pd.DataFrame) -> pd.Series:
    days = pd.to_numeric(_known(table, DAYS), errors="coerce").abs()
    return days.fillna(np.inf)
