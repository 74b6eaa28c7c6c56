"""What the import script for SPSS Statistics needs beside its template; PSPP runs it too.

It opens sav files, or imports CSV and applies types, labels and value labels. Its check counts rows
and ranks scores: the area is a rank sum (Hanley and McNeil 1982). An apostrophe in front of a text
protects it from spreadsheets, and is taken off.
"""

from __future__ import annotations

from featurestore.export.scripts.base import Script
from featurestore.export.variables import Variable, printable


def format_of(variable: Variable) -> str:
    """The format of a column of a CSV file."""
    if variable.kind == "number":
        return "F40.6"
    if variable.kind == "date":
        return "SDATE10"
    longest = max((len(t.encode()) for t in variable.values.dropna()), default=0)
    return f"A{min(max(longest + 1, 1), 32767)}"


def quoted(text: str) -> str:
    """A string of SPSS."""
    return '"' + printable(text).replace('"', '""') + '"'


def comment(text: str) -> str:
    """Text of a comment, which ends at a full stop."""
    return printable(text).replace(".", ";").rstrip(";")


SPSS = Script(
    "import.sps", (".sav", ".csv"), {"quoted": quoted, "comment": comment, "format": format_of}
)
