"""Any registered model, small and quickly fitted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.features.table import FeatureTable
from fusion.models.base import Model
from fusion.models.registry import MODELS, make_model

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=3, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=1),
    joint=JointConfig(epochs=1),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
)
Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]


def whole_arm(model: str, modalities: tuple[Modality, ...]) -> Arm:
    """The arm; models that train on pictures look at those of the table (`net_p`)."""
    if MODELS[model].pictures:
        pictures = Modality("net_p", embeddings=("net_p",))
        modalities = tuple(pictures if m.embeddings else m for m in modalities)
    return Arm(f"{model}[all]", model, modalities)


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
