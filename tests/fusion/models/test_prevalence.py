"""The prevalence floor counts patients."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from fusion.features.table import FeatureTable
from fusion.models.base import Model

Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


def test_prevalence_is_that_of_patients(parts: Parts, fit: Fitter) -> None:
    first = pd.Series(parts[0].y).groupby(parts[0].patient_ids).first()
    assert set(fit("prevalence", parts[0]).predict_proba(parts[1])) == {first.mean()}
