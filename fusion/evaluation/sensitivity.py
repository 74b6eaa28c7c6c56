"""Sensitivity analyses of missing values: complete cases, no indicators, multiple imputation.

Each asks what an arm would say had missing values been handled in another way. They are made for
arms that are cheap to fit again: the clinical reference, and the baseline where its model is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import pandas as pd

from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.arms import Arm, reference_arm
from fusion.config import AblationConfig
from fusion.models import find_model, make_model, reference_columns
from fusion.models.study_location import StudyLocation

COMPLETE = "complete cases"
PLAIN = "without indicators"
IMPUTED = "multiple imputation"
IMPUTATIONS = 5
ANALYSES = (COMPLETE, PLAIN, IMPUTED)
"""Their designs, in the order of the table."""


def sensitivity_arms(planned: Iterable[Arm], config: AblationConfig) -> list[Arm]:
    """Plans the analyses.

    Args:
        planned: The arms of the ablation table, with the floors.
        config: The ablation.

    Raises:
        ConfigError: No arm is cheap enough to be fitted again.
    """
    arms = [arm for arm in planned if find_model(arm.model).role != "floor"]
    baseline = reference_arm(config, tuple(a for a in arms if find_model(a.model).role == "arm"))
    kept = [
        arm
        for arm in arms
        if find_model(arm.model).cheap
        and any(modality.groups for modality in arm.modalities)
        and (find_model(arm.model).role == "clinical reference" or arm.name == baseline)
    ]
    if not kept:
        raise ConfigError(
            "ablation.sensitivity: the cohort has no clinical reference, and the baseline is not "
            "logistic_regression on patient columns: there is no arm that is cheap to fit again"
        )
    return [
        dataclasses.replace(arm, name=f"{arm.name}, {analysis}", design=analysis)
        for arm in kept
        for analysis in ANALYSES
    ]


def complete_cases(columns: pd.DataFrame, dictionary: DataDictionary) -> pd.Series:
    """Who has all columns of the clinical reference; everybody where it has none.

    Args:
        columns: Patient columns. Shape (n, ...).
        dictionary: What they are.
    """
    found = reference_columns(dictionary)
    names = [] if found is None else list(found.names)
    return columns[names].notna().all(axis=1)


def settings_of(config: AblationConfig, design: str) -> AblationConfig:
    """The settings that arms of a design are fitted with."""
    if design != PLAIN:
        return config
    metadata = config.metadata.model_copy(update={"indicators": False})
    return config.model_copy(update={"metadata": metadata})


def model_of(
    arm: Arm, config: AblationConfig, study: StudyLocation | None, kind: str = "binary"
) -> Any:
    """The model of an arm, not yet fitted, on several imputations where its design asks for them.

    Args:
        arm: The arm.
        config: Settings of its design (`settings_of`).
        study: Where a tuned model keeps its study.
        kind: Kind of the outcome; only models of binary outcomes are imputed.

    Returns:
        What follows the protocol of the kind.
    """
    if arm.design != IMPUTED:
        return make_model(arm, config, study, kind)
    from fusion.models.imputed import ImputedModel  # loads scikit-learn

    return ImputedModel(arm, lambda: make_model(arm, config, study), IMPUTATIONS)
