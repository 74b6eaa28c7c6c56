"""What the import script for SAS 9.4 needs beside its template.

It opens transport files with SAS's own macro %XPT2LOC, or reads CSV in a data step. Its check
counts rows and ranks scores: the area is a rank sum (Hanley and McNeil 1982). An apostrophe in
front of a text protects it from spreadsheets, and is taken off.
"""

from __future__ import annotations

from featurestore.export.scripts.base import Script
from featurestore.export.variables import LabelledTable, Variable, printable

Meanings = tuple[tuple[int, str], ...]


def informat(variable: Variable) -> str:
    """How a column of a CSV file is read."""
    if variable.kind == "number":
        return "best32."
    if variable.kind == "date":
        return "yymmdd10."
    longest = max((len(t.encode()) for t in variable.values.dropna()), default=0)
    return f"${min(max(longest + 1, 2), 32767)}."


def meanings(variable: Variable) -> Meanings:
    """Codes of a variable and their meanings."""
    return tuple(variable.meanings.items())


def format_names(table: LabelledTable) -> dict[Meanings, str]:
    """A name for the format of each set of codes that a table uses."""
    sets = dict.fromkeys(meanings(v) for v in table.variables if v.meanings)
    return {items: f"mf{k}_" for k, items in enumerate(sets, start=1)}


def quoted(text: str) -> str:
    """Single quotes, in which SAS expands no macros."""
    return "'" + printable(text).replace("'", "''") + "'"


def comment(text: str) -> str:
    """Text of a comment."""
    return printable(text).replace("*/", "* /")


SAS = Script(
    "import.sas",
    (".xpt", ".csv"),
    {
        "quoted": quoted,
        "comment": comment,
        "informat": informat,
        "meanings": meanings,
        "format_names": format_names,
    },
)
