"""The predictions table: the one interface between modelling and reporting."""

from __future__ import annotations

import pandas as pd

from featurestore.errors import DataError
from featurestore.tables.ids import require_columns

PREDICTION_TYPES = {
    "run": "str",
    "arm": "str",
    "model": "str",
    "modalities": "str",
    "design": "str",
    "repeat": "int64",
    "fold": "int64",
    "patient_id": "str",
    "y": "int64",
    "score": "float64",
    "probability": "float64",
    "threshold": "float64",
}
"""Columns of the table. `modalities` is joined by `+`; `design` is `ablation` for the arms of the
ablation table (`fusion.evaluation.designs`); `score` is a mean logit; `threshold` was
chosen on inner data of the same fold. Every row is out-of-fold."""

_KEY = ["run", "arm", "repeat", "fold", "patient_id"]


def predictions_table(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Joins parts into one checked, canonically sorted table.

    Raises:
        DataError: A column is missing, or a patient was predicted twice in one repeat of an arm.
    """
    table = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=list(PREDICTION_TYPES))
    )
    require_columns(table, list(PREDICTION_TYPES), "the predictions table")
    table = table[list(PREDICTION_TYPES)].astype(PREDICTION_TYPES)
    twice = table.duplicated(["run", "arm", "repeat", "patient_id"])
    if twice.any():
        row = table[twice].iloc[0]
        raise DataError(
            f"patient {row['patient_id']} is predicted twice in repeat {row['repeat']} of arm "
            f"{row['arm']!r}: out-of-fold predictions are one a patient and repeat"
        )
    return table.sort_values(_KEY, kind="stable").reset_index(drop=True)
