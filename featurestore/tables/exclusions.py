"""The exclusions table: everything that was left out anywhere, with stage and reason."""

from __future__ import annotations

import pandas as pd

EXCLUSION_COLUMNS = ("entity", "id", "stage", "reason")

OUTCOME_STAGE = "outcome"
"""Stage of those who are left out because their outcome is not known: who is studied then depends
on the outcome."""


def exclusions_table(rows: list[tuple[str, str, str, str]] | None = None) -> pd.DataFrame:
    """Builds an exclusions table from `(entity, id, stage, reason)` rows."""
    return pd.DataFrame(rows or [], columns=list(EXCLUSION_COLUMNS), dtype="str")
