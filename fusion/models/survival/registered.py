"""Models of times to an event: everything that an arm of such a study can name."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusion.models.clinical_columns import reference_columns, stage_columns
from fusion.models.model_kind import ModelKind

_HEAD = ModelKind("fusion.models.survival.fusion_head:SurvivalHead", ("metadata", "head"))
_DISCRETE_HEAD = ModelKind(
    "fusion.models.survival.fusion_head:DiscreteHead", ("metadata", "head", "discrete_time")
)
_COX = ModelKind("fusion.models.survival.cox:CoxRidge", ("metadata", "tuning"))
_CLINICAL = ModelKind(
    "fusion.models.survival.cox:ClinicalCox", ("metadata", "tuning"), role="clinical reference"
)


_GRID = ModelKind(
    "fusion.models.survival.grid:SurvivalGrid",
    ("metadata", "tuning"),
    needs=("sksurv", "scikit-survival", "survival"),
)


def _grid(estimator: str) -> ModelKind:
    return dataclasses.replace(_GRID, fixed={"estimator": estimator})


def _cox(**facts: Any) -> ModelKind:
    return dataclasses.replace(_COX, **facts)


SURVIVAL_MODELS: dict[str, ModelKind] = {
    "fusion_head": _HEAD,
    "fusion_head_gated": dataclasses.replace(_HEAD, fixed={"variant": "gated"}),
    "fusion_head_low_rank": dataclasses.replace(_HEAD, fixed={"variant": "low_rank"}),
    "fusion_head_attention": ModelKind(
        "fusion.models.attention_head:AttentionSurvivalHead",
        ("metadata", "head", "attention"),
        fixed={"variant": "attention"},
        bags=True,
    ),
    "fusion_head_discrete": _DISCRETE_HEAD,
    "lightgbm": ModelKind(
        "fusion.models.survival.lightgbm:CoxLightGbm", ("metadata", "tuning"), tuned=True
    ),
    "lightgbm_discrete": ModelKind(
        "fusion.models.survival.lightgbm_discrete:DiscreteLightGbm",
        ("metadata", "tuning", "discrete_time"),
        tuned=True,
    ),
    "cox_ridge": _cox(),
    "elastic_net": _grid("elastic_net"),
    "random_survival_forest": _grid("random_survival_forest"),
    "gradient_boosting": _grid("gradient_boosting"),
    "stacked": ModelKind(
        "fusion.models.survival.stacked:StackedCox", ("metadata", "tuning", "head"), tuned=True
    ),
    "rank_average": ModelKind(
        "fusion.models.survival.rank_average:SurvivalRankAverage",
        ("metadata", "tuning"),
        weighs_columns=False,
    ),
    "clinical_reference": dataclasses.replace(
        _CLINICAL, fixed={"columns": "clinical"}, columns=reference_columns
    ),
    "stage_reference": dataclasses.replace(
        _CLINICAL, fixed={"columns": "stage"}, columns=stage_columns
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
