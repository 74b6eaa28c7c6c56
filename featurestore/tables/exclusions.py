"""The exclusions table: everything that was left out anywhere, with stage and reason."""

from __future__ import annotations

import pandas as pd

EXCLUSION_COLUMNS = ("entity", "id", "stage", "reason")


def exclusions_table(rows: list[tuple[str, str, str, str]] | None = None) -> pd.DataFrame:
    """Builds an exclusions table from `(entity, id, stage, reason)` rows."""
    return pd.DataFrame(rows or [], columns=list(EXCLUSION_COLUMNS), dtype="str")
