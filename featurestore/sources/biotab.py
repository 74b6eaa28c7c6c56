"""BCR biotab: TCGA's clinical tables with three header lines, and dated events out of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.sources.base import NO_IMAGES, ReadContext, SourceTables
from featurestore.sources.canonical import read_canonical
from featurestore.sources.clinical_table import Layout, joined, kept, read_clinical
from featurestore.sources.events import EVENT_HEADERS, event_columns, listed_events
from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.survival import with_survival
from featurestore.sources.tcga_names import BCR_HEADERS
from featurestore.tables import DataDictionary, exclusions_table, known_text, read_head, read_table
from featurestore.tables.barcodes import read_barcodes
from featurestore.tables.merging import first_known

_ID = "bcr_patient_barcode"
_CDE = "CDE_ID:"
_STATE = ("vital_status", "days_to_death", "days_to_last_followup", "tumour_status")
_OF_EVENTS = ("new_tumor_event", "days_to_new_tumor_event")
_FLAGS = {"yes": 1.0, "no": 0.0}
_STAGE = "read"

LAYOUT = Layout(
    kind="biotab",
    ids=(_ID,),
    used=(
        *("bcr_patient_uuid", "patient_id", "tissue_source_site"),
        *(BCR_HEADERS[name][0] for name in (*_STATE, *_OF_EVENTS)),
    ),
    headers={n: h for n, h in BCR_HEADERS.items() if n not in (*_STATE, *_OF_EVENTS)},
)


class BiotabSource(Section):
    """TCGA's BCR biotab tables: one row a patient, and what happened afterwards.

    Attributes:
        patient: `…clinical_patient_….txt`.
        new_tumor_events: `…clinical_nte_….txt`.
        follow_up: `…clinical_follow_up_….txt`, the newest version first.
        columns: Canonical columns to take; all that are there by default.
    """

    kind: Literal["biotab"] = "biotab"
    patient: Path
    new_tumor_events: Path | None = None
    follow_up: tuple[Path, ...] = ()
    columns: tuple[str, ...] | None = None

    def read(self, context: ReadContext) -> SourceTables:
        """Reads all tables.

        Raises:
            DataError: A file is missing or damaged, is no biotab table, or lacks a column.
        """
        path = context.data_root / self.patient
        visits = [context.data_root / file for file in self.follow_up]
        reports = {file: read_biotab(file) for file in [path, *visits]}
        people = read_clinical(reports[path], LAYOUT, path, "primary")
        tables = [people, _last_state(reports)]
        listed = {file: reports[file] for file in visits}
        if self.new_tumor_events is not None:
            file = context.data_root / self.new_tumor_events
            listed[file] = read_biotab(file)
        if listed:
            ids = people.patients["patient_id"]
            tables.append(_event_tables(ids, listed, _indicated(reports)))
        return kept(with_survival(joined(tables)), self.columns)


def read_biotab(path: Path) -> pd.DataFrame:
    """Reads a biotab table as text.

    Of the three header lines the second one is taken: the first gives one name to two columns.

    Raises:
        DataError: The file cannot be read, or does not have three header lines.
    """
    head = read_head(path, n_rows=2)
    third = head.rows[1] if len(head.rows) > 1 else ()
    if _ID not in head.header or not any(cell.startswith(_CDE) for cell in third):
        raise DataError(explain_mismatch(path, "biotab"))
    return read_table(path, comment_lines=len(head.comments) + 1).iloc[1:].reset_index(drop=True)


def _ids(table: pd.DataFrame, path: Path) -> pd.Series:
    return read_barcodes(table[_ID], f"{path}: column {_ID!r}")["patient_id"]


def _event_tables(
    ids: pd.Series, listed: Mapping[Path, pd.DataFrame], indicated: pd.Series
) -> SourceTables:
    events = []
    for path, table in listed.items():
        absent = [name for name in EVENT_HEADERS if name not in table.columns]
        if absent:
            raise DataError(f"{path}: no column {absent[0]!r}: it is no table of new tumour events")
        events.append(listed_events(table, _ids(table, path)))
    columns, dictionary, exclusions = event_columns(ids, pd.concat(events), indicated)
    columns.insert(0, "patient_id", ids)
    undecided = (columns["new_tumor_event"] == 1) & columns["distant_metastasis"].isna()
    gaps = pd.DataFrame(
        {
            "patient_id": ids[undecided],
            "column": "distant_metastasis",
            "reason": "event_of_unknown_kind",
        },
        dtype="str",
    )
    return SourceTables(NO_IMAGES, columns, dictionary, exclusions, gaps=gaps)


def _indicated(reports: Mapping[Path, pd.DataFrame]) -> pd.Series:
    """Whether any report says that a patient had a new tumour event: 1, 0 or missing.

    Of reports that differ the one that says yes counts: an event cannot be undone.
    """
    name = BCR_HEADERS["new_tumor_event"][0]
    said = [pd.Series(dtype=float)]
    for path, table in reports.items():
        if name in table.columns:
            flags = known_text(table[name]).values.map(_greatest_flag, na_action="ignore")
            said.append(pd.to_numeric(flags).groupby(_ids(table, path)).max())
    return pd.concat(said).groupby(level=0).max()


def _greatest_flag(text: str) -> float:
    """Of an answer or several joined by bars."""
    flags = [_FLAGS.get(part.strip().casefold(), np.nan) for part in text.split("|")]
    return float(np.fmax.reduce(flags))


def _last_state(reports: Mapping[Path, pd.DataFrame]) -> SourceTables:
    """What the last report of each patient says: alive, with tumour, and until when.

    Reports are ordered by the day of last contact or death; what the last one leaves open the one
    before says. A patient who is dead in one report and alive in a later one is reported.
    """
    columns = {name: BCR_HEADERS[name][0] for name in _STATE}
    rows, tables = [], []
    for path, table in reports.items():
        own = {n: c for n, c in columns.items() if c in table.columns}
        ids = _ids(table, path)
        read = read_canonical(table, {n: (c,) for n, c in own.items()}, ids, path)
        rows.append(read.values.assign(patient_id=ids))
        tables.append(read)
    state = pd.concat(rows, ignore_index=True)
    days = state.reindex(columns=["days_to_death", "days_to_last_followup"]).max(axis=1)
    state = state.reindex(columns=["patient_id", *_STATE])
    state["_text"] = state.map(str).agg("\t".join, axis=1)
    state["_day"] = -days.fillna(-np.inf)
    state["_alive"] = state["vital_status"] != 1  # of two reports of one day that of the death
    dictionary = DataDictionary(
        {c.name: c for read in reversed(tables) for c in read.dictionary}.values()
    )
    merged, _ = first_known(
        state, "patient_id", ["_day", "_alive", "_text"], dictionary.names, _STAGE, "latest report"
    )
    order = ["patient_id", "_day", "_alive", "_text"]
    back = state.sort_values(order).groupby("patient_id")["vital_status"]
    revived = sorted(str(p) for p, s in back if s.dropna().iloc[:1].eq(0).any() and s.max() == 1)
    exclusions = [read.exclusions for read in tables]
    exclusions.append(
        exclusions_table(
            [("value", p, _STAGE, "vital_status: dead, and alive later") for p in revived]
        )
    )
    return SourceTables(NO_IMAGES, merged, dictionary, pd.concat(exclusions, ignore_index=True))
