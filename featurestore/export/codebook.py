"""The codebook: what every variable of every table is, as a table and as a page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from featurestore.export.variables import LabelledTable, Variable
from featurestore.tables import LABELS

CODEBOOK_COLUMNS = (
    "table",
    "name",
    "original_name",
    "label",
    "type",
    "unit",
    "values",
    "missing_reasons",
    "group",
    "source_column",
    "n",
    "missing",
    "note",
)
_MANY = 40  # levels that a page shows

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;margin:0 0 2rem}
th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top}
th{background:#f2f2f2}td.n{text-align:right}code{font-size:.95em}
.mark{border:2px solid #a00;padding:.5rem 1rem;font-weight:600}
"""


def codebook(tables: Sequence[LabelledTable]) -> pd.DataFrame:
    """One row a variable, in `CODEBOOK_COLUMNS`."""
    rows = [_row(table, variable) for table in tables for variable in table.variables]
    return pd.DataFrame(rows, columns=list(CODEBOOK_COLUMNS))


def _row(table: LabelledTable, variable: Variable) -> dict[str, object]:
    known = int(variable.values.notna().sum())
    return {
        "table": table.name,
        "name": variable.name,
        "original_name": variable.original,
        "label": variable.label,
        "type": variable.type,
        "unit": variable.unit,
        "values": "; ".join(f"{code} = {text}" for code, text in variable.coded.items()),
        "missing_reasons": "; ".join(f"{LABELS[k]}: {n}" for k, n in _counts(variable).items()),
        "group": variable.group,
        "source_column": variable.source,
        "n": known,
        "missing": len(variable.values) - known,
        "note": variable.note,
    }


def _counts(variable: Variable) -> dict[int, int]:
    codes, counts = np.unique(variable.reasons[variable.reasons > 0], return_counts=True)
    return {int(code): int(count) for code, count in zip(codes, counts, strict=True)}


def codebook_page(tables: Sequence[LabelledTable], title: str, watermark: str) -> str:
    """The codebook as one HTML page without anything outside it.

    Args:
        tables: The exported tables.
        title: Title of the page.
        watermark: Sentences that mark the data; empty where there are none.
    """
    mark = Markup('<p class="mark">{}</p>').format(watermark) if watermark else ""
    contents = Markup("").join(
        Markup('<li><a href="#{0}">{0}</a>: {1}, {2:,} rows, {3:,} variables</li>').format(
            t.name, t.label, t.rows, len(t.variables)
        )
        for t in tables
    )
    sections = Markup("").join(_section(table) for table in tables)
    return str(
        Markup(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{0}</title>'
            "<style>{1}</style></head><body><h1>{0}</h1>{2}<ul>{3}</ul>{4}</body></html>\n"
        ).format(title, Markup(_STYLE), mark, contents, sections)
    )


def _section(table: LabelledTable) -> Markup:
    heads = ("name", "original name", "label", "type", "unit", "values", "n", "missing", "note")
    head = Markup("").join(Markup("<th>{}</th>").format(h) for h in heads)
    rows = Markup("\n").join(_page_row(variable) for variable in table.variables)
    return Markup('<h2 id="{0}">{0}</h2><p>{1}</p><table><tr>{2}</tr>\n{3}</table>').format(
        table.name, table.label, head, rows
    )


def _page_row(variable: Variable) -> Markup:
    listed = list(variable.coded.items())
    values = Markup("<br>").join(f"{code} = {text}" for code, text in listed[:_MANY])
    if len(listed) > _MANY:
        values += Markup("<br>… {} more").format(len(listed) - _MANY)
    known = int(variable.values.notna().sum())
    missing = Markup("<br>").join(
        [str(len(variable.values) - known)]
        + [f"{LABELS[k]}: {n}" for k, n in _counts(variable).items()]
    )
    return Markup(
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        '<td class="n">{}</td><td class="n">{}</td><td>{}</td></tr>'
    ).format(
        variable.name,
        variable.original if variable.renamed else "",
        variable.label,
        variable.type,
        variable.unit,
        escape(values),
        known,
        escape(missing),
        variable.note,
    )
