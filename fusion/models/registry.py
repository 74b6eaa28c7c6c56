"""The registry of models: everything that an arm can name, behind one protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from featurestore.errors import ConfigError
from fusion.arms import Arm
from fusion.config import AblationConfig
from fusion.models.base import Model
from fusion.models.floors import ClinicalReference, Prevalence
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.grid import Forest, GridModel, RadialSvm, RidgeLogistic
from fusion.models.joint import JointModel
from fusion.models.lightgbm import LightGbmModel
from fusion.models.rank_average import RankAverage
from fusion.models.stacked import StackedModel
from fusion.models.tuning import StudyLocation

Factory = Callable[[Arm, AblationConfig, StudyLocation | None], Model]


@dataclasses.dataclass(frozen=True)
class ModelKind:
    """One registered model.

    Attributes:
        make: Builds it.
        sections: Sections of the configuration that its result depends on.
        tuned: Whether it keeps an Optuna study.
        sampled: Whether weighted sampling of heads moves the level of its predictions.
        explained: Whether its inputs are columns and embeddings that can be exchanged.
        permuted: Whether it is fitted on and scored against exchanged outcomes
            (`fusion.evaluation.permutation`).
    """

    make: Factory
    sections: tuple[str, ...] = ("metadata", "tuning")
    tuned: bool = False
    sampled: bool = False
    explained: bool = True
    permuted: bool = False


MODELS: dict[str, ModelKind] = {
    "fusion_head": ModelKind(
        lambda a, c, s: FusionHeadModel(a, c.head, c.metadata),
        sections=("metadata", "head"),
        sampled=True,
    ),
    "fusion_head_gated": ModelKind(
        lambda a, c, s: FusionHeadModel(a, c.head, c.metadata, "gated"),
        sections=("metadata", "head"),
        sampled=True,
    ),
    "fusion_head_low_rank": ModelKind(
        lambda a, c, s: FusionHeadModel(a, c.head, c.metadata, "low_rank"),
        sections=("metadata", "head"),
        sampled=True,
    ),
    "joint": ModelKind(
        lambda a, c, s: JointModel(a, c),
        sections=("metadata", "head", "joint"),
        sampled=True,
        explained=False,
    ),
    "lightgbm": ModelKind(lambda a, c, s: LightGbmModel(a, c, s), tuned=True),
    "logistic_regression": ModelKind(lambda a, c, s: GridModel(a, c, RidgeLogistic())),
    "random_forest": ModelKind(lambda a, c, s: GridModel(a, c, Forest())),
    "svm": ModelKind(lambda a, c, s: GridModel(a, c, RadialSvm())),
    "stacked": ModelKind(
        lambda a, c, s: StackedModel(a, c, s),
        sections=("metadata", "tuning", "head"),
        tuned=True,
    ),
    "rank_average": ModelKind(lambda a, c, s: RankAverage(a, c)),
    "clinical_reference": ModelKind(lambda a, c, s: ClinicalReference(a, c)),
    "prevalence": ModelKind(lambda a, c, s: Prevalence(a, c), explained=False),
    "permuted_labels": ModelKind(
        lambda a, c, s: GridModel(a, c, RidgeLogistic()), explained=False, permuted=True
    ),
}
"""Models by name. A new model is one class that follows `fusion.models.base.Model`, and a line."""


def find_model(name: str) -> ModelKind:
    """Looks a registered model up.

    Raises:
        ConfigError: No model has this name.
    """
    if name not in MODELS:
        raise ConfigError(f"ablation: unknown model {name!r}; known: {', '.join(MODELS)}")
    return MODELS[name]


def make_model(arm: Arm, config: AblationConfig, study: StudyLocation | None = None) -> Model:
    """Builds the model of an arm, not yet fitted.

    Args:
        arm: Names the model and its modalities.
        config: Settings of all models.
        study: Where a tuned model keeps its study; by default in memory.

    Raises:
        ConfigError: No model has the arm's name.
    """
    return find_model(arm.model).make(arm, config, study)


def chosen_calibration(model: str, config: AblationConfig) -> str:
    """How the scores of a model become probabilities: the configured way, or what `auto` is.

    Weighted sampling moves the level of all predictions (van den Goorbergh et al. 2022).
    """
    if config.calibration != "auto":
        return config.calibration
    return "platt" if config.head.weighted_sampling and find_model(model).sampled else "none"


def relevant_settings(arm: Arm, config: AblationConfig) -> dict[str, Any]:
    """Settings that the arm's result depends on, as plain JSON.

    Where a study is stored and how many processes work do not belong to them.
    """
    sections = find_model(arm.model).sections
    record = {name: getattr(config, name).model_dump(mode="json") for name in sections}
    record.get("tuning", {}).pop("storage", None)
    record["calibration"] = chosen_calibration(arm.model, config)
    record["threshold"] = config.threshold.model_dump(mode="json")
    record["explain"] = config.explain
    return record
