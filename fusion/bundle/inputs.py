"""What a bundle says of the patient columns that it takes, learned from the training patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.tables import Column, places, spans
from fusion.arms import Arm
from fusion.bundle.record import InputColumn
from fusion.features import FeatureTable

ALLOWED_RANGES = 10.0
"""Numbers may lie this many training ranges outside the training range; farther out (a thickness
in µm for one in mm) they are refused. A number that was never negative may not become so."""


def describe_inputs(table: FeatureTable, arms: tuple[Arm, ...]) -> tuple[InputColumn, ...]:
    """Describes the columns that any of the arms looks at, in the order of the dictionary.

    Args:
        table: Training rows.
        arms: The arms of the bundle.
    """
    owner: dict[str, str] = {}
    for arm in arms:
        for modality in arm.modalities:
            for name in modality.columns(table.dictionary):
                owner.setdefault(name, modality.name)
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    patients = table.columns.iloc[first]
    return tuple(
        _describe(column, patients[column.name], owner[column.name])
        for column in table.dictionary
        if column.name in owner
    )


def _describe(column: Column, values: pd.Series, modality: str) -> InputColumn:
    known = values.dropna()
    facts: dict[str, object] = {}
    if column.kind in ("ordinal", "nominal"):
        seen = set(known.astype(str))
        ordered = [level for level in column.levels if level in seen]
        facts["training_levels"] = (*ordered, *sorted(seen - set(ordered)))
        middle = known.astype(str).map(places(column.levels)).median()
        if column.kind == "ordinal" and not pd.isna(middle):
            facts["typical"] = _levels_at(column.levels, float(middle))
    elif len(known):
        numbers = known.astype(float)
        low, high = float(numbers.min()), float(numbers.max())
        facts["training_range"] = (low, high)
        facts["typical"] = float(numbers.median())
        facts["allowed_range"] = (0.0, 1.0) if column.kind == "binary" else _allowed(low, high)
    return InputColumn(
        name=column.name,
        kind=column.kind,
        group=column.group,
        label=column.label or column.name,
        unit=column.unit,
        levels=column.levels,
        missing_tokens=column.missing_tokens,
        missing_share=float(values.isna().mean()),
        modality=modality,
        **facts,
    )


def _allowed(low: float, high: float) -> tuple[float, float]:
    reach = ALLOWED_RANGES * max(high - low, abs(high), abs(low), 1.0)
    least = low - reach
    return (0.0 if low >= 0 else least), high + reach


def _levels_at(levels: tuple[str, ...], place: float) -> str:
    """The level at a place, or the two that it lies between; of levels that contain no others."""
    at: dict[float, str] = {}
    for level, (low, high) in spans(levels).items():
        if low == high:
            at.setdefault(low, level)
    return " to ".join(dict.fromkeys([at[float(np.floor(place))], at[float(np.ceil(place))]]))
