"""Models of binary outcomes: everything that an arm of such a study can name."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusion.models.clinical_columns import reference_columns
from fusion.models.model_kind import ModelKind

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
    "fusion_head_attention": ModelKind(
        "fusion.models.attention_head:AttentionHeadModel",
        ("metadata", "head", "attention"),
        fixed={"variant": "attention"},
        sampled=True,
        bags=True,
    ),
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
        columns=reference_columns,
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
