"""The rank average: midranks of patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fusion.features.table import FeatureTable
from fusion.models.base import Model
from fusion.models.rank_average import RankScale

Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


def test_rank_scale_is_the_midrank() -> None:
    scores = np.array([3.0, 1.0, 2.0, 2.0])
    expected = (rankdata(scores) - 0.5) / 4
    np.testing.assert_allclose(RankScale(np.sort(scores))(scores), expected)
    assert RankScale(np.sort(scores))(np.array([-9.0, 9.0])).tolist() == [0.0, 1.0]


def test_rank_average_gives_every_row_of_a_patient_the_same(fit: Fitter, parts: Parts) -> None:
    probability = fit("rank_average", parts[0]).predict_proba(parts[1])
    per_patient = pd.Series(probability).groupby(parts[1].patient_ids).nunique()
    assert (per_patient == 1).all()
    assert pd.Series(parts[1].patient_ids).duplicated().any()
