"""What a cohort is before anything is fitted: counts, outcome, exclusions, missingness, Table 1."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from featurestore.cohort.assemble import UNKNOWN_SITE
from featurestore.cohort.follow_up import AT_RISK, FollowUp, follow_up
from featurestore.cohort.table_one import table_one
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import Outcome, duration_words
from featurestore.tables import Column, known_later
from featurestore.units import NO_OBSERVATIONS, NOUNS, Counted, counted

EXCLUSION_SUMMARY = ("entity", "stage", "reason", "n", "example")
COLUMN_SUMMARY = (
    "name",
    "label",
    "kind",
    "unit",
    "group",
    "measured",
    "known_on",
    "source_column",
    "missing",
    "missing_share",
    "missing_no_event",
    "missing_event",
    "use",
)
TIDY = ("section", "name", "item", "value")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_CONFLICT = re.compile(r": .* kept \((.*)\), others say .*")
_OF_LESIONS = (
    (re.compile(r": .* of several lesions of the patient"), ": it differs between lesions"),
    (re.compile(r": \d+ of \d+ images of the lesion say so"), ": some images of the lesion say so"),
)
_SHOWN_EXCLUSIONS = 20
_SHOWN_GENES = 8


@dataclasses.dataclass(frozen=True)
class CohortDescription:
    """A cohort in tables for people; nothing of it is about a model.

    Attributes:
        name: Name of the cohort.
        outcome: What is predicted.
        counts: Patients, events, images and what else is counted, in order of reading.
        prevalence: Share of patients with the outcome, 0 to 1.
        linkage: How images and patient rows were matched.
        exclusions: One row a kind of exclusion: `EXCLUSION_SUMMARY`.
        columns: One row a patient column: `COLUMN_SUMMARY`; `use` is `used` or says why not.
        table_one: Patients by outcome; see `featurestore.cohort.table_one`.
        unmapped: `file: column` of the columns that no source understood.
        notes: Sentences that every report prints.
        follow_up: How long patients were followed; None where the outcome has no times.
        observed: How many observations there are, of how many people.
    """

    name: str
    outcome: Outcome
    counts: dict[str, int]
    prevalence: float
    linkage: str
    exclusions: pd.DataFrame
    columns: pd.DataFrame
    table_one: pd.DataFrame
    unmapped: tuple[str, ...]
    notes: tuple[str, ...]
    follow_up: FollowUp | None = None
    observed: Counted = NO_OBSERVATIONS


def describe(cohort: Cohort) -> CohortDescription:
    """Describes a cohort as its sources give it."""
    patients, pictures, images = cohort.patients, cohort.pictures, cohort.images
    slides = images[images["path"] == ""]
    many, observed = cohort.noun.many, cohort.counted
    counts = {
        many: cohort.n_patients,
        "events": cohort.n_events,
        f"{many} without event": cohort.n_patients - cohort.n_events,
        "images": len(pictures),
        f"{many} with an image": int(patients["patient_id"].isin(pictures["patient_id"]).sum()),
        "sites": int(patients.loc[patients["site"] != UNKNOWN_SITE, "site"].nunique()),
        "left out": len(cohort.exclusions),
    }
    if len(slides):
        having = patients["patient_id"].isin(slides["patient_id"])
        counts |= {"slides": len(slides), f"{many} with a slide": int(having.sum())}
    if cohort.unit == "lesion":
        counts |= {"patients": observed.persons, "lesions of unknown patients": observed.nameless}
    return CohortDescription(
        name=cohort.name,
        outcome=cohort.outcome,
        counts=counts,
        prevalence=cohort.prevalence,
        linkage=cohort.linkage,
        exclusions=_exclusions(cohort.exclusions),
        columns=_columns(cohort),
        table_one=table_one(cohort),
        unmapped=cohort.unmapped,
        notes=cohort.notes,
        follow_up=follow_up(cohort),
        observed=observed,
    )


def to_json(described: Sequence[CohortDescription]) -> str:
    """A description as JSON: one object, tables as lists of objects; several by their outcome."""
    records = {d.outcome.name: _record(d) for d in described}
    whole = records if len(described) > 1 else next(iter(records.values()))
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _record(description: CohortDescription) -> dict[str, Any]:
    d = description
    record: dict[str, Any] = {
        "name": d.name,
        **({"unit": d.observed.unit} if d.observed.unit != "patient" else {}),
        "outcome": dataclasses.asdict(d.outcome),
        "linkage": d.linkage,
        "counts": d.counts,
        "prevalence": d.prevalence,
        "exclusions": d.exclusions.to_dict("records"),
        "columns": d.columns.to_dict("records"),
        "table_one": d.table_one.to_dict("records"),
        "unmapped": list(d.unmapped),
        "notes": list(d.notes),
    }
    if d.follow_up is not None:
        told = dataclasses.asdict(d.follow_up)
        record["follow_up"] = {**told, "at_risk": d.follow_up.at_risk.to_dict("records")}
    return record


def to_csv(described: Sequence[CohortDescription]) -> str:
    """A description as one tidy table with the columns `TIDY`; several with their `outcome`."""
    tables = [pd.DataFrame(_tidy(d), columns=list(TIDY)) for d in described]
    if len(tables) > 1:
        for table, d in zip(tables, described, strict=True):
            table.insert(0, "outcome", d.outcome.name)
    return pd.concat(tables).to_csv(index=False)


def _tidy(d: CohortDescription) -> Iterator[tuple[str, str, str, object]]:
    yield from (("cohort", d.name, item, value) for item, value in d.counts.items())
    yield ("cohort", d.name, "prevalence", d.prevalence)
    yield ("cohort", d.name, "linkage", d.linkage)
    for item in ("definition", "unit", "as_of", "among"):
        yield ("outcome", d.outcome.name, item, getattr(d.outcome, item))
    yield from (("outcome", d.outcome.name, "caveat", text) for text in d.outcome.caveats)
    if d.follow_up is not None:
        for item in ("time_zero", "median", "longest", "late"):
            yield ("follow-up", d.name, item, getattr(d.follow_up, item))
        for row in d.follow_up.at_risk.to_dict("records"):
            for item in AT_RISK[1:]:
                yield ("follow-up", f"{row['days']:g} days", item, row[item])
    for row in d.exclusions.to_dict("records"):
        yield ("exclusion", f"{row['entity']}, {row['stage']}", str(row["reason"]), row["n"])
    for row in d.columns.to_dict("records"):
        for item in COLUMN_SUMMARY[1:]:
            yield ("column", str(row["name"]), item, row[item])
    variable = ""
    for row in d.table_one.to_dict("records"):
        variable = str(row["variable"]) or variable
        level = f", {row['level']}" if row["level"] else ""
        for item in ("all", "no event", "event", "missing"):
            yield ("table 1", f"{variable}{level}", item, row[item])
    yield from (("unmapped", *name.rpartition(": ")[::2], "") for name in d.unmapped)
    yield from (("note", d.name, "", text) for text in d.notes)


def print_description(description: CohortDescription, console: Console) -> None:
    """Prints the description for people."""
    d = description
    many, events = d.observed.noun.many, d.counts["events"]
    slides = ""
    if "slides" in d.counts:
        held = d.counts[f"{many} with a slide"]
        slides = f"features of {d.counts['slides']:,} slides of {held:,} {many}, "
    console.print(
        f"{d.name}: {d.observed.text}, {counted(events, 'event')} ({d.prevalence:.1%}), "
        f"{counted(d.counts['images'], 'image')} of "
        f"{NOUNS[d.observed.unit].counted(d.counts[f'{many} with an image'])}, "
        f"{slides}{d.counts['sites'] or 'no'} sites named, linkage {d.linkage}",
        markup=False,
        highlight=False,
    )
    for line in _outcome_lines(d.outcome, many):
        console.print(line, markup=False, highlight=False)
    for note in d.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    if d.follow_up is not None:
        _print_follow_up(d.follow_up, console)
    _print_exclusions(d.exclusions, console)
    _print_columns(d.columns, console)
    _print_table_one(d.table_one, console)
    for file, columns in _by_file(d.unmapped).items():
        console.print(
            f"\nnot understood and not used, {len(columns)} columns of {file}: "
            f"{', '.join(columns)}",
            markup=False,
            highlight=False,
        )


def _outcome_lines(outcome: Outcome, many: str) -> Iterator[str]:
    yield f"outcome: {outcome.name}. {outcome.definition}"
    yield f"unit: {outcome.unit}; predicted as of: {outcome.as_of}"
    if outcome.among:
        yield f"asked of {many} with: {outcome.among}"
    yield from (f"caveat: {caveat}" for caveat in outcome.caveats)


def _print_follow_up(told: FollowUp, console: Console) -> None:
    console.print(told.sentence, markup=False, highlight=False)
    table = _grid("numbers at risk", ("after",), ("at risk", "events", "competing", "censored"))
    for row in told.at_risk.to_dict("records"):
        counts = (f"{row[item]:,}" for item in AT_RISK[1:])
        _add(table, duration_words(float(row["days"])), *counts)
    console.print()
    console.print(table)


def _print_exclusions(exclusions: pd.DataFrame, console: Console) -> None:
    if exclusions.empty:
        console.print("\nnothing was left out", markup=False)
        return
    table = _grid("left out", ("entity", "stage", "reason"), ("n",))
    for row in exclusions.head(_SHOWN_EXCLUSIONS).to_dict("records"):
        _add(table, row["entity"], row["stage"], row["reason"], f"{row['n']:,}")
    console.print()
    console.print(table)
    rest = exclusions.iloc[_SHOWN_EXCLUSIONS:]
    if len(rest):
        console.print(
            f"and {len(rest)} more reasons for {int(rest['n'].sum()):,} rows; --format csv lists "
            "them all",
            markup=False,
            highlight=False,
        )


def _print_columns(columns: pd.DataFrame, console: Console) -> None:
    if columns.empty:
        console.print("\nno patient columns", markup=False)
        return
    table = _grid("columns", ("name", "group", "known at", "use"), ("missing", "no event", "event"))
    narrow = columns[columns["kind"] != "expression"]
    for row in narrow.to_dict("records"):
        _add(
            table,
            row["name"],
            row["group"],
            str(row["measured"]).replace("_", "-").replace("unknown", "not stated"),
            row["use"],
            f"{row['missing']} ({row['missing_share']:.0%})",
            f"{row['missing_no_event']:.0%}",
            f"{row['missing_event']:.0%}",
        )
    console.print()
    console.print(table)
    genes = columns.loc[columns["kind"] == "expression", "name"].tolist()
    if genes:
        more = f" and {len(genes) - _SHOWN_GENES:,} more" if len(genes) > _SHOWN_GENES else ""
        console.print(
            f"expression: {len(genes):,} columns, {', '.join(genes[:_SHOWN_GENES])}{more}",
            markup=False,
            highlight=False,
        )


def _print_table_one(table_1: pd.DataFrame, console: Console) -> None:
    """Prints levels below their variable, so that the table fits a narrow terminal."""
    table = _grid("Table 1", ("variable",), ("all", "no event", "event", "missing"))
    for row in table_1.to_dict("records"):
        unit = f", {row['unit']}" if row["unit"] else ""
        numbers = (row["all"], row["no event"], row["event"])
        if row["level"] and row["variable"]:
            _add(table, f"{row['variable']}{unit}", "", "", "", row["missing"])
        if row["level"]:
            _add(table, f"  {row['level']}", *numbers, "")
        else:
            _add(table, f"{row['variable']}{unit}", *numbers, row["missing"])
    console.print()
    console.print(table)


def _grid(title: str, texts: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in texts:
        table.add_column(name, overflow="fold", no_wrap=name in ("name", "entity"))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: object) -> None:
    """Adds a row as it is: cells hold brackets that are no markup."""
    table.add_row(*(Text(str(cell)) for cell in cells))


def _by_file(unmapped: tuple[str, ...]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for name in unmapped:
        file, _, column = name.partition(": ")
        files.setdefault(file, []).append(column)
    return files


def _exclusions(exclusions: pd.DataFrame) -> pd.DataFrame:
    """Counts exclusions by what their reasons have in common, most frequent first."""
    if exclusions.empty:
        return pd.DataFrame(columns=list(EXCLUSION_SUMMARY))
    ids = set(exclusions["id"])
    common = [
        _without_ids(reason, own, ids)
        for own, reason in zip(exclusions["id"], exclusions["reason"], strict=True)
    ]
    counted = (
        exclusions.assign(reason=common)
        .groupby(["entity", "stage", "reason"], as_index=False)
        .agg(n=("id", "size"), example=("id", "min"))
    )
    order = ["n", "entity", "stage", "reason"]
    return counted.sort_values(order, ascending=[False, True, True, True], ignore_index=True)[
        list(EXCLUSION_SUMMARY)
    ]


def _without_ids(reason: str, own: str, ids: set[str]) -> str:
    """A reason without what is only true of one row: ids, quoted values, file names by id."""
    text = _CONFLICT.sub(r": values that differ; kept: \1", _QUOTED.sub("…", reason))
    for pattern, common in _OF_LESIONS:
        text = pattern.sub(common, text)
    return " ".join("…" if _is_id(word, own, ids) else word for word in text.split())


def _is_id(word: str, own: str, ids: set[str]) -> bool:
    bare = word.strip(",;:.()")
    return bare in ids or (own != "" and own in bare)


def _columns(cohort: Cohort) -> pd.DataFrame:
    event = cohort.has_event
    rows = []
    for column in cohort.dictionary:
        missing = cohort.patients[column.name].isna()
        rows.append(
            {
                "name": column.name,
                "label": column.label or column.name,
                "kind": column.kind,
                "unit": column.unit,
                "group": column.group,
                "measured": column.measured,
                "known_on": column.known_on,
                "source_column": column.source_column,
                "missing": int(missing.sum()),
                "missing_share": float(missing.mean()),
                "missing_no_event": float(missing[~event].mean()),
                "missing_event": float(missing[event].mean()),
                "use": _use(column, cohort.outcome),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMN_SUMMARY))


def _use(column: Column, outcome: Outcome) -> str:
    """Whether models see a column, and if not, why."""
    if outcome.denied([column.name]):
        why = "reveals the outcome"
    elif known_later(column.measured, outcome.as_of_time):
        why = f"known at {column.measured}, after {outcome.as_of_time}".replace("_", "-")
    else:
        return "withheld" if column.leaks else "used"
    return f"withheld: {why}" if column.leaks else f"used anyway, although it {_verb(why)}"


def _verb(why: str) -> str:
    return why if why.startswith("reveals") else f"is {why}"
