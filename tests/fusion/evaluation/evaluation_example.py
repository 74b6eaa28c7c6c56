"""An evaluation of few and cheap arms, with what a test wants to vary as arguments."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, MetadataConfig, TuningConfig
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan
from fusion.features.table import FeatureTable
from fusion.models.floors import with_floors

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=2, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=2, ensemble=1),
    metadata=MetadataConfig(embedding_components=3, expression_components=2),
    jobs=1,
)


@dataclasses.dataclass
class Setting:
    """Everything `evaluate` needs, with what a test wants to vary as arguments of `run`."""

    cohort: Cohort
    folds: Folds
    table: FeatureTable
    arms: tuple[Arm, ...]

    def run(self, work: Path, config: AblationConfig = CONFIG, **changes: Any) -> pd.DataFrame:
        given: dict[str, Any] = {
            "cohort": self.cohort,
            "folds": self.folds,
            "features_for": lambda repeat, fold: self.table,
            "arms": self.arms,
        }
        fields = {f.name for f in dataclasses.fields(Plan)}
        plan = Plan(config, seed=0, run_name="test", work=work, data_digest="d")
        changed = dataclasses.replace(plan, **{k: v for k, v in changes.items() if k in fields})
        others = {k: v for k, v in changes.items() if k not in fields}
        return evaluate(**(given | others), plan=changed)


def setting_of(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Setting:
    """A head, trees, a linear model, and the floors under them."""
    arms = (
        Arm("fusion_head[all]", "fusion_head", modalities),
        Arm("lightgbm[all]", "lightgbm", modalities),
        Arm("logistic_regression[net_a]", "logistic_regression", modalities[:1]),
    )
    return Setting(cohort, folds, table, with_floors(arms, modalities, table.dictionary))


def read_choices(work: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((work / "choices.json").read_text())
    return record
