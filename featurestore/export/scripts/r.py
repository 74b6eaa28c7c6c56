"""What the import script for R needs beside its template.

It reads with haven (dta, sav, xpt), arrow (Parquet) or R itself (CSV).
"""

from __future__ import annotations

import json

from featurestore.export.scripts.base import Script


def quoted(text: str) -> str:
    """A string of R."""
    return json.dumps(text, ensure_ascii=False)


R = Script("import.R", (".dta", ".sav", ".parquet", ".csv", ".xpt"), {"quoted": quoted})
