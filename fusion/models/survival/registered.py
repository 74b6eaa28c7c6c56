"""Models of times to an event: everything that an arm of such a study can name."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusion.models.clinical_columns import reference_columns, stage_columns
from fusion.models.model_kind import ModelKind

_HEAD = ModelKind("fusion.models.survival.fusion_head:SurvivalHead", ("metadata", "head"))
_DISCRETE_HEAD = ModelKind(
    "fusion.models.survival.fusion_head:DiscreteHead",
    ("metadata", "head", "discrete_time"),
    effort=61,
)
_COX = ModelKind("fusion.models.survival.cox:CoxRidge", ("metadata", "tuning"), effort=11)
_CLINICAL = ModelKind(
    "fusion.models.survival.cox:ClinicalCox", ("metadata", "tuning"), role="clinical reference"
)


_GRID = ModelKind(
    "fusion.models.survival.grid:SurvivalGrid",
    ("metadata", "tuning"),
    needs=("sksurv", "scikit-survival", "survival"),
)


def _grid(estimator: str, effort: int) -> ModelKind:
    return dataclasses.replace(_GRID, fixed={"estimator": estimator}, effort=effort)


def _head(effort: int, **fixed: Any) -> ModelKind:
    return dataclasses.replace(_HEAD, fixed=fixed, effort=effort)


def _cox(**facts: Any) -> ModelKind:
    return dataclasses.replace(_COX, **facts)


SURVIVAL_MODELS: dict[str, ModelKind] = {
    "fusion_head": _head(60),
    "fusion_head_gated": _head(63, variant="gated"),
    "fusion_head_low_rank": _head(62, variant="low_rank"),
    "fusion_head_attention": ModelKind(
        "fusion.models.attention_head:AttentionSurvivalHead",
        ("metadata", "head", "attention"),
        fixed={"variant": "attention"},
        bags=True,
        effort=64,
    ),
    "fusion_head_discrete": _DISCRETE_HEAD,
    "lightgbm": ModelKind(
        "fusion.models.survival.lightgbm:CoxLightGbm",
        ("metadata", "tuning"),
        tuned=True,
        effort=30,
    ),
    "lightgbm_discrete": ModelKind(
        "fusion.models.survival.lightgbm_discrete:DiscreteLightGbm",
        ("metadata", "tuning", "discrete_time"),
        tuned=True,
        effort=31,
    ),
    "cox_ridge": _cox(),
    "elastic_net": _grid("elastic_net", 12),
    "random_survival_forest": _grid("random_survival_forest", 33),
    "gradient_boosting": _grid("gradient_boosting", 34),
    "stacked": ModelKind(
        "fusion.models.survival.stacked:StackedCox",
        ("metadata", "tuning", "head"),
        tuned=True,
        effort=51,
    ),
    "rank_average": ModelKind(
        "fusion.models.survival.rank_average:SurvivalRankAverage",
        ("metadata", "tuning"),
        weighs_columns=False,
        effort=50,
    ),
    "clinical_reference": dataclasses.replace(
        _CLINICAL, fixed={"columns": "clinical"}, columns=reference_columns, effort=0
    ),
    "stage_reference": dataclasses.replace(
        _CLINICAL, fixed={"columns": "stage"}, columns=stage_columns, effort=1
    ),
    "kaplan_meier": ModelKind(
        "fusion.models.survival.kaplan_meier:KaplanMeier",
        (),
        role="floor",
        explained=False,
        weighs_columns=False,
    ),
    "permuted_labels": _cox(role="floor", explained=False, permuted=True, weighs_columns=False),
}
"""Models by name. A new model is one class that follows `SurvivalModel`, and a line."""
