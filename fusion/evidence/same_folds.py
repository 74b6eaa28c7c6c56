"""Whether several studies test everyone in the same folds."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

_KEYS = ["repeat", "patient_id"]


def share_folds(predictions: Iterable[pd.DataFrame]) -> bool:
    """Whether each patient is tested in the same fold of a repeat wherever it is predicted.

    Args:
        predictions: Predictions tables of the studies.
    """
    placed = [table[[*_KEYS, "fold"]].drop_duplicates() for table in predictions]
    together = pd.concat(placed, ignore_index=True).drop_duplicates()
    return not together.duplicated(_KEYS).any()
