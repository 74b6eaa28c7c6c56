"""What the import script for Stata 14 and newer needs beside its template.

It opens dta files, or imports CSV and applies types, labels and value labels.
"""

from __future__ import annotations

from featurestore.export.scripts.base import Script
from featurestore.export.variables import printable


def quoted(text: str) -> str:
    """Compound quotes, in which Stata expands only macros."""
    plain = printable(text).replace("`", "\\`").replace("$", "\\$")
    return f'`"{plain}"\''


STATA = Script("import.do", (".dta", ".csv"), {"quoted": quoted})
