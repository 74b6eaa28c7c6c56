"""The predictions table: the one interface between modelling and reporting."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from featurestore.errors import DataError
from featurestore.tables import require_columns
from featurestore.units import as_kept
from fusion.endpoints import find_endpoint

KEY_TYPES = {
    "run": "str",
    "arm": "str",
    "model": "str",
    "modalities": "str",
    "design": "str",
    "repeat": "int64",
    "fold": "int64",
    "patient_id": "str",
}
"""Columns that every row has. `modalities` is joined by `+`; `design` is `ablation` for the arms of
the ablation table (`fusion.evaluation.designs`)."""


def prediction_types(kind: str, columns: Iterable[str] = ()) -> dict[str, str]:
    """Columns of the table for a kind of outcome, with their types; every row is out-of-fold.

    Of binary outcomes `score` is a mean logit, and `threshold` was chosen on inner data of the
    same fold. Of times to an event `score` is a log hazard ratio, `risk_at_…` the probability of
    the event by so many days, and `risk_group` was cut on inner data of the same fold.

    Args:
        kind: Kind of the outcome.
        columns: Columns of a table, whose horizons are among them.
    """
    endpoint = find_endpoint(kind)
    begins = endpoint.by_horizon
    risks = [c for c in columns if begins and c.startswith(begins)]
    return {**KEY_TYPES, **endpoint.predictions, **dict.fromkeys(risks, "float64")}


def read_predictions(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The predictions table as we keep it, out of one as people read it.

    Args:
        table: Content of `predictions.parquet`; of lesions it names lesion and patient.
        kind: Kind of the outcome.

    Raises:
        DataError: As `predictions_table`.
    """
    kept = as_kept(table) if "lesion_id" in table.columns else table
    return predictions_table([kept], kind)


_KEY = ["run", "arm", "repeat", "fold", "patient_id"]


def predictions_table(parts: list[pd.DataFrame], kind: str) -> pd.DataFrame:
    """Joins parts into one checked, canonically sorted table.

    Args:
        parts: Rows of arms and folds.
        kind: Kind of the outcome.

    Raises:
        DataError: A column is missing, or a patient was predicted twice in one repeat of an arm.
    """
    table = (
        pd.concat(parts, ignore_index=True)
        if parts
        else pd.DataFrame(columns=list(prediction_types(kind)))
    )
    types = prediction_types(kind, table.columns)
    require_columns(table, list(types), "the predictions table")
    table = table[list(types)].astype(types)
    twice = table.duplicated(["run", "arm", "repeat", "patient_id"])
    if twice.any():
        row = table[twice].iloc[0]
        raise DataError(
            f"patient {row['patient_id']} is predicted twice in repeat {row['repeat']} of arm "
            f"{row['arm']!r}: out-of-fold predictions are one a patient and repeat"
        )
    return table.sort_values(_KEY, kind="stable").reset_index(drop=True)
