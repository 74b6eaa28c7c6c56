"""Whether what an ablation left behind is of the folds that are audited."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from featurestore.errors import DataError
from fusion.ledger import FitRecord, patients_digest


def require_same_folds(
    predictions: pd.DataFrame, fits: tuple[FitRecord, ...], folds: pd.DataFrame, path: Path
) -> None:
    """Refuses predictions and ledgers of other folds, which would prove nothing about these.

    Args:
        predictions: Predictions table.
        fits: Ledgers that were written with it.
        folds: Frozen folds.
        path: Where the predictions lie.

    Raises:
        DataError: Predictions were made for other test patients, or fits are held against other
            training patients.
    """
    rows = folds.groupby(["repeat", "fold", "role"])["patient_id"]
    parts = {key: patients_digest(ids) for key, ids in rows}
    tested = predictions.groupby(["arm", "repeat", "fold"])["patient_id"]
    foreign = [
        arm
        for (arm, repeat, fold), ids in tested
        if parts.get((repeat, fold, "test")) != patients_digest(ids)
    ]
    foreign += [
        fit.arm for fit in fits if parts.get((fit.repeat, fit.fold, "train")) != fit.training_digest
    ]
    if foreign:
        raise DataError(
            f"{path}: the predictions of {foreign[0]} are of other folds than these, because "
            f"cohort, folds or seed changed since; run `melafuse ablate` again, or audit with "
            f"another --out to look at cohort and folds alone"
        )
