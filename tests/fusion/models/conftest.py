"""Any registered model, small and quickly fitted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.models.base import Model
from fusion.models.registry import make_model
from fusion.testing.models import whole_arm
from fusion.testing.tables import CONFIG

Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


@pytest.fixture(scope="session")
def small_config() -> AblationConfig:
    """Few epochs, trials and components."""
    return CONFIG


@pytest.fixture(scope="session")
def make_arm() -> Callable[[str, tuple[Modality, ...]], Arm]:
    """Builds an arm: model, modalities."""
    return whole_arm


@pytest.fixture(scope="session")
def fit(modalities: tuple[Modality, ...]) -> Fitter:
    """Fits a model by name: name, table, modalities, seed."""

    def fitted(
        name: str,
        table: FeatureTable,
        seen: tuple[Modality, ...] = modalities,
        seed: int = 0,
    ) -> Model:
        return make_model(whole_arm(name, seen), CONFIG).fit(table, seed)

    return fitted


@pytest.fixture(scope="session")
def parts(table: FeatureTable) -> Parts:
    """90 training and 30 test patients."""
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:90]), table.of_patients(ids[90:])
