"""The registry of models: everything that an arm can name, and what others may ask of it.

Asking is cheap: a model's class is named by where it can be imported from, and is loaded (with
torch, LightGBM, Optuna) when a model is made.
"""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from featurestore.errors import ConfigError
from fusion.arms import Arm
from fusion.config import AblationConfig
from fusion.models.base import Model
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation
from fusion.models.threads import limit_new_libraries

Role = Literal["arm", "clinical reference", "floor"]
"""What a model is for in a table: to be compared, or what every model must beat."""


@dataclasses.dataclass(frozen=True)
class ModelKind:
    """One registered model.

    Attributes:
        target: Its class, or where it can be imported from, as `module:class`. It is called with
            the arm and its `Settings`, and with `location` where it is tuned.
        sections: Sections of the configuration that it is handed and that name its results.
        fixed: Further keyword arguments of the class.
        role: What it is for.
        tuned: Whether it keeps an Optuna study.
        sampled: Whether weighted sampling of heads moves the level of its predictions.
        explained: Whether its inputs are columns and embeddings that can be exchanged.
        permuted: Whether it is fitted on and scored against exchanged outcomes
            (`fusion.evaluation.permutation`).
        weighs_columns: Whether it has parameters of its own for the inputs of its arm, which a
            sample size must support.
        cheap: Whether it is fitted in seconds, so that sensitivity analyses fit it again.
        pictures: Whether it is trained on pictures, by several processes together where there are.
    """

    target: str | Callable[..., Model]
    sections: tuple[str, ...]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    role: Role = "arm"
    tuned: bool = False
    sampled: bool = False
    explained: bool = True
    permuted: bool = False
    weighs_columns: bool = True
    cheap: bool = False
    pictures: bool = False

    def load(self) -> Callable[..., Model]:
        """Imports the class."""
        if not isinstance(self.target, str):
            return self.target
        made: Callable[..., Model] = pkgutil.resolve_name(self.target)
        limit_new_libraries()
        return made

    def make(
        self, arm: Arm, config: AblationConfig, location: StudyLocation | None = None
    ) -> Model:
        """Builds the model of an arm, not yet fitted; it is handed its own sections only."""
        keywords = dict(self.fixed) | ({"location": location} if self.tuned else {})
        return self.load()(arm, Settings.of(config, self.sections), **keywords)


_HEAD = ModelKind("fusion.models.fusion_head:FusionHeadModel", ("metadata", "head"), sampled=True)
_GRID = ModelKind("fusion.models.grid:GridModel", ("metadata", "tuning"))


def _head(variant: str) -> ModelKind:
    return dataclasses.replace(_HEAD, fixed={"variant": variant})


def _grid(estimator: str, **facts: Any) -> ModelKind:
    return dataclasses.replace(_GRID, fixed={"estimator": estimator}, **facts)


MODELS: dict[str, ModelKind] = {
    "fusion_head": _head("concat"),
    "fusion_head_gated": _head("gated"),
    "fusion_head_low_rank": _head("low_rank"),
    "joint": ModelKind(
        "fusion.models.joint:JointModel",
        ("metadata", "head", "joint"),
        sampled=True,
        explained=False,
        pictures=True,
    ),
    "lightgbm": ModelKind(
        "fusion.models.lightgbm:LightGbmModel", ("metadata", "tuning"), tuned=True
    ),
    "logistic_regression": _grid("logistic_regression", cheap=True),
    "random_forest": _grid("random_forest"),
    "svm": _grid("svm"),
    "stacked": ModelKind(
        "fusion.models.stacked:StackedModel", ("metadata", "tuning", "head"), tuned=True
    ),
    "rank_average": ModelKind(
        "fusion.models.rank_average:RankAverage", ("metadata", "tuning"), weighs_columns=False
    ),
    "clinical_reference": ModelKind(
        "fusion.models.clinical_reference:ClinicalReference",
        ("metadata", "tuning"),
        role="clinical reference",
        cheap=True,
    ),
    "prevalence": ModelKind(
        "fusion.models.prevalence:Prevalence",
        ("tuning",),
        role="floor",
        explained=False,
        weighs_columns=False,
    ),
    "permuted_labels": _grid(
        "logistic_regression", role="floor", explained=False, permuted=True, weighs_columns=False
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


def names_of(*roles: Role) -> tuple[str, ...]:
    """Names of the models of these roles, in the order of the registry."""
    return tuple(name for name, kind in MODELS.items() if kind.role in roles)


def make_model(arm: Arm, config: AblationConfig, study: StudyLocation | None = None) -> Model:
    """Builds the model of an arm, not yet fitted.

    Args:
        arm: Names the model and its modalities.
        config: Settings of all models; the model is handed those it has declared.
        study: Where a tuned model keeps its study; by default in memory.

    Raises:
        ConfigError: No model has the arm's name, or the model cannot be used for the arm.
    """
    return find_model(arm.model).make(arm, config, study)


def chosen_calibration(model: str, config: AblationConfig) -> str:
    """How the scores of a model become probabilities: the configured way, or what `auto` is.

    Weighted sampling moves the level of all predictions (van den Goorbergh et al. 2022).
    """
    if config.calibration != "auto":
        return config.calibration
    return "platt" if config.head.weighted_sampling and find_model(model).sampled else "none"


def relevant_settings(arm: Arm, config: AblationConfig, data_root: Path) -> dict[str, Any]:
    """Settings that the arm's result depends on, as plain JSON.

    They are those that its model is handed, and what is done with its predictions.

    Args:
        arm: Names the model.
        config: All settings.
        data_root: Folder that relative paths start from.

    Raises:
        ConfigError: No model has the arm's name, or a file that a setting names cannot be read.
    """
    record = Settings.of(config, find_model(arm.model).sections).record(data_root)
    record["calibration"] = chosen_calibration(arm.model, config)
    record["threshold"] = config.threshold.model_dump(mode="json")
    record["explain"] = config.explain
    return record
