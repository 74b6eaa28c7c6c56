"""Whether what an ablation left behind is of the folds that are audited."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from featurestore.cohort import Folds
from featurestore.errors import DataError
from fusion.ledger import FitRecord, patients_digest


def require_same_folds(
    predictions: pd.DataFrame, fits: tuple[FitRecord, ...], folds: Folds, path: Path
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
    tests = {key: patients_digest(folds.test(key)) for key in folds.keys}
    training = {key: patients_digest(folds.training(key)) for key in folds.keys}
    tested = predictions.groupby(["arm", "repeat", "fold"])["patient_id"].agg(patients_digest)
    rows = tested.reset_index().itertuples(index=False, name=None)
    foreign = [arm for arm, repeat, fold, digest in rows if tests.get((repeat, fold)) != digest]
    foreign += [
        fit.arm for fit in fits if training.get((fit.repeat, fit.fold)) != fit.training_digest
    ]
    if foreign:
        raise DataError(
            f"{path}: the predictions of {foreign[0]} are of other folds than these, because "
            f"cohort, folds or seed changed since; run `melafuse ablate` again, or audit with "
            f"another --out to look at cohort and folds alone"
        )
