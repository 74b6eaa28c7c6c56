"""The registry of models: everything that an arm can name, by kind of the outcome.

A name means another class for another kind: `fusion_head` learns from times where the outcome has
times. A kind of outcome registers its models here, and what is decided after a fit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError
from fusion.arms import Arm
from fusion.config import AblationConfig
from fusion.models.binary import MODELS
from fusion.models.model_kind import ModelKind, Role
from fusion.models.own import find_own, own_names
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation
from fusion.models.survival.registered import SURVIVAL_MODELS

__all__ = [
    "FAMILIES",
    "MODELS",
    "Family",
    "ModelKind",
    "Role",
    "chosen_calibration",
    "effort_of",
    "facts_of",
    "find_model",
    "make_model",
    "names_of",
    "relevant_settings",
]


def chosen_calibration(model: str, config: AblationConfig) -> str:
    """How the scores of a model become probabilities: the configured way, or what `auto` is.

    Weighted sampling moves the level of all predictions (van den Goorbergh et al. 2022).
    """
    if config.calibration != "auto":
        return config.calibration
    return "platt" if config.head.weighted_sampling and find_model(model).sampled else "none"


def _of_probabilities(model: str, config: AblationConfig) -> dict[str, Any]:
    return {
        "calibration": chosen_calibration(model, config),
        "threshold": config.threshold.model_dump(mode="json"),
    }


def _of_risks(model: str, config: AblationConfig) -> dict[str, Any]:
    if config.calibration != "auto":
        raise ConfigError(
            f"ablation.calibration: {config.calibration!r} is for binary outcomes; risks of times "
            f"to an event are always fitted on inner predictions: leave it out"
        )
    return {"risk_groups": None if config.risk_groups is None else list(config.risk_groups)}


@dataclasses.dataclass(frozen=True)
class Family:
    """All models of one kind of outcome.

    Attributes:
        models: By name. A new model is one class that follows the protocol of the kind, and a line.
        decided: Settings of what is done with predictions, given the model's name; plain JSON.
    """

    models: Mapping[str, ModelKind]
    decided: Callable[[str, AblationConfig], dict[str, Any]]


FAMILIES: dict[str, Family] = {
    "binary": Family(MODELS, _of_probabilities),
    "time_to_event": Family(SURVIVAL_MODELS, _of_risks),
}
"""By kind of the outcome (`fusion.endpoints`)."""


def find_model(name: str, kind: str = "binary") -> ModelKind:
    """Looks a model up: one of ours, one registered in this process, or one of a package.

    Raises:
        ConfigError: No model of this kind of outcome has this name, or its package cannot be used.
    """
    models = FAMILIES[kind].models
    if name not in models:
        other = [k for k, family in FAMILIES.items() if name in family.models]
        own = None if other else find_own(name)
        if own is not None and own.outcome == kind:
            return own
        other += [] if own is None else [own.outcome]
        what = (
            f"model {name!r} is for outcomes of the kind {other[0]!r}"
            if other
            else (f"unknown model {name!r}")
        )
        known = f"those for {kind!r}" if other else "known"
        raise ConfigError(f"ablation: {what}; {known}: {', '.join((*models, *own_names()))}")
    return models[name]


UNKNOWN = ModelKind("", ())
"""Of predictions whose model is none of ours: nothing is known of how it was fitted."""


def facts_of(name: str, kind: str = "binary") -> ModelKind:
    """What is registered of a model in a table of predictions; nothing is imported for it."""
    return FAMILIES[kind].models.get(name, UNKNOWN)


def effort_of(name: str) -> int:
    """What it takes to explain, fit and keep a model, whatever the kind of outcome."""
    return min(facts_of(name, kind).effort for kind in FAMILIES)


def names_of(*roles: Role, kind: str | None = None) -> tuple[str, ...]:
    """Names of the models of these roles, in the order of the registry.

    Args:
        roles: What they are for.
        kind: Kind of the outcome; by default all.
    """
    families = FAMILIES.values() if kind is None else (FAMILIES[kind],)
    found = (name for f in families for name, one in f.models.items() if one.role in roles)
    return tuple(dict.fromkeys(found))


def make_model(
    arm: Arm, config: AblationConfig, study: StudyLocation | None = None, kind: str = "binary"
) -> Any:
    """Builds the model of an arm, not yet fitted.

    Args:
        arm: Names the model and its modalities.
        config: Settings of all models; the model is handed those it has declared.
        study: Where a tuned model keeps its study; by default in memory.
        kind: Kind of the outcome.

    Returns:
        What follows the protocol of the kind: `fusion.models.base.Model` for binary outcomes,
        `fusion.models.survival.SurvivalModel` for times to an event.

    Raises:
        ConfigError: No model has the arm's name, or the model cannot be used for the arm.
    """
    return find_model(arm.model, kind).make(arm, config, study)


def relevant_settings(
    arm: Arm, config: AblationConfig, data_root: Path, kind: str = "binary"
) -> dict[str, Any]:
    """Settings that the arm's result depends on, as plain JSON.

    They are those that its model is handed, and what is done with its predictions.

    Args:
        arm: Names the model.
        config: All settings.
        data_root: Folder that relative paths start from.
        kind: Kind of the outcome.

    Raises:
        ConfigError: No model has the arm's name, or a file that a setting names cannot be read.
    """
    record = Settings.of(config, find_model(arm.model, kind).sections).record(data_root)
    record |= FAMILIES[kind].decided(arm.model, config)
    record["explain"] = config.explain
    brought = find_model(arm.model, kind).brought
    return record | ({"brought": dict(brought)} if brought else {})
