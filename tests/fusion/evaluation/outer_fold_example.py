"""One outer fold of the small tables, and every registered model as an arm on it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan
from fusion.features.table import FeatureTable
from fusion.models.registry import MODELS

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=3, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=3, ensemble=2),
    joint=JointConfig(epochs=2),
    metadata=MetadataConfig(embedding_components=3, expression_components=2),
    jobs=1,
)

NAMES = sorted(MODELS)


@dataclasses.dataclass(frozen=True)
class OuterFold:
    """One outer fold, so that there is one set of test patients."""

    cohort: Cohort
    folds: Folds
    table: FeatureTable

    @property
    def test_patients(self) -> set[str]:
        return set(self.folds.test((0, 0)))

    @property
    def test_rows(self) -> np.ndarray:
        return np.isin(self.table.patient_ids.astype(str), sorted(self.test_patients))


@dataclasses.dataclass(frozen=True)
class Fold(OuterFold):
    """The fold, and what every model sees of it."""

    modalities: tuple[Modality, ...]

    def arms(self) -> list[Arm]:
        pictures = Modality("net_p", embeddings=("net_p",))
        of_pictures = tuple(pictures if m.embeddings else m for m in self.modalities)
        return [
            Arm(name, name, of_pictures if name == "joint" else self.modalities) for name in NAMES
        ]

    def evaluate(self, work: Path, table: FeatureTable, explain: bool = False) -> pd.DataFrame:
        config = CONFIG.model_copy(update={"explain": explain})
        return evaluate(
            self.cohort,
            self.folds,
            lambda repeat, fold: table,
            self.arms(),
            Plan(config, 0, "spy", work, "d"),
        )
