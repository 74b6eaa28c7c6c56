"""Table 1: patients by outcome, with missingness."""

from __future__ import annotations

import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import COMPETING, ENTRY, TIME
from featurestore.tables import Column
from featurestore.units import count_observations

TABLE1_COLUMNS = ("variable", "level", "unit", "all", "no event", "event", "missing")


def table_one(cohort: Cohort) -> pd.DataFrame:
    """Describes every patient column but expression, as text for people.

    Numeric columns: median [quartiles]. Others: count (share of known) of each level. Expression
    columns are counted in one line. Where observations are lesions, what is measured of a patient
    counts each patient once in a column of the table, however many lesions there are; a patient
    with lesions of both kinds stands in both columns.

    Returns:
        Table with the columns `TABLE1_COLUMNS`.
    """
    patients = cohort.patients
    event = cohort.has_event
    n = {"all": len(patients), "no event": int((~event).sum()), "event": int(event.sum())}
    parts = {"all": patients, "no event": patients[~event], "event": patients[event]}
    persons = {key: part.drop_duplicates("person_id") for key, part in parts.items()}
    rows = [_counted(cohort.noun.many, n)]
    if cohort.counted.persons and cohort.unit == "lesion":
        known = {k: count_observations(part, cohort.unit).persons for k, part in parts.items()}
        more = cohort.noun.counted(cohort.counted.nameless)
        rows.append(_counted("patients", known, more * bool(cohort.counted.nameless)))
    if TIME in patients.columns:
        rows += _times(parts)
    expression = [c for c in cohort.dictionary if c.kind == "expression"]
    of_whom = f" (of {len(persons['all']):,} patients)"
    if cohort.counted.nameless:
        of_whom = " (each known patient once)"
    for column in cohort.dictionary:
        if column.kind != "expression":
            of_patients = column.level == "patient" and cohort.counted.persons > 0
            rows += _rows(column, persons if of_patients else parts, of_whom * of_patients)
    if expression:
        known = {
            k: int(p[[c.name for c in expression]].notna().any(axis=1).sum())
            for k, p in parts.items()
        }
        label = f"expression known ({len(expression)} genes)"
        missing = f"{n['all'] - known['all']}"
        rows.append(_counted(label, known, missing))
    return pd.DataFrame(rows, columns=list(TABLE1_COLUMNS))


def _times(parts: dict[str, pd.DataFrame]) -> list[dict[str, str]]:
    """How long patients were observed, and who had a competing event."""
    observed = {k: _quartiles(p[TIME] - p[ENTRY]) for k, p in parts.items()}
    rows = [{"variable": "time observed", "level": "", "unit": "days", "missing": "", **observed}]
    competing = {k: int((p["outcome"] == COMPETING).sum()) for k, p in parts.items()}
    if competing["all"]:
        rows.append(_counted("competing event first", competing))
    return rows


def _counted(what: str, counts: dict[str, int], missing: str = "") -> dict[str, str]:
    return {"variable": what, "level": "", "unit": "n", "missing": missing, **_text(counts)}


def _rows(column: Column, parts: dict[str, pd.DataFrame], of_whom: str) -> list[dict[str, str]]:
    """Rows of one column; of whom it is measured stands behind its name."""
    name = (
        (column.label or column.name)
        + of_whom
        + (" (reveals the outcome; not used)" if column.leaks else "")
    )
    missing = int(parts["all"][column.name].isna().sum())
    first = {"variable": name, "missing": f"{missing} ({missing / len(parts['all']):.0%})"}
    if column.kind == "numeric":
        quartiles = {k: _quartiles(p[column.name]) for k, p in parts.items()}
        return [{**first, "level": "", "unit": column.unit, **quartiles}]
    levels = column.levels or tuple(sorted(parts["all"][column.name].dropna().astype(str).unique()))
    rows = []
    for level in (1.0,) if column.kind == "binary" else levels:
        shares = {k: _share(p[column.name], level) for k, p in parts.items()}
        shown = "yes" if column.kind == "binary" else str(level)
        rows.append({**first, "level": shown, "unit": "n (%)", **shares})
        first = {"variable": "", "missing": ""}
    return rows


def _quartiles(values: pd.Series) -> str:
    known = values.dropna().astype(float)
    if known.empty:
        return "—"
    low, middle, high = known.quantile([0.25, 0.5, 0.75])
    return f"{_number(middle)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    """Three digits, and all of a whole number: a year is no 2.01e+03."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def _share(values: pd.Series, level: str | float) -> str:
    known = values.dropna()
    text = isinstance(level, str)
    count = int((known.astype(str if text else float) == level).sum())
    return f"{count} ({count / len(known):.0%})" if len(known) else "—"


def _text(counts: dict[str, int]) -> dict[str, str]:
    return {key: str(value) for key, value in counts.items()}
