"""Models of binary outcomes: everything that an arm of such a study can name."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusion.models.clinical_columns import reference_columns
from fusion.models.model_kind import ModelKind

_HEAD = ModelKind(
    "fusion.models.fusion_head:FusionHeadModel", ("metadata", "head"), sampled=True, gathers=True
)
_GRID = ModelKind("fusion.models.grid:GridModel", ("metadata", "tuning"))


def _head(variant: str, effort: int) -> ModelKind:
    return dataclasses.replace(_HEAD, fixed={"variant": variant}, effort=effort)


def _grid(estimator: str, **facts: Any) -> ModelKind:
    return dataclasses.replace(_GRID, fixed={"estimator": estimator}, **facts)


MODELS: dict[str, ModelKind] = {
    "fusion_head": _head("concat", 60),
    "fusion_head_gated": _head("gated", 63),
    "fusion_head_low_rank": _head("low_rank", 62),
    "fusion_head_attention": ModelKind(
        "fusion.models.attention_head:AttentionHeadModel",
        ("metadata", "head", "attention"),
        fixed={"variant": "attention"},
        sampled=True,
        bags=True,
        effort=64,
    ),
    "joint": ModelKind(
        "fusion.models.joint:JointModel",
        ("metadata", "head", "joint"),
        sampled=True,
        explained=False,
        pictures=True,
        effort=65,
    ),
    "lightgbm": ModelKind(
        "fusion.models.lightgbm:LightGbmModel", ("metadata", "tuning"), tuned=True, effort=30
    ),
    "logistic_regression": _grid("logistic_regression", cheap=True, effort=10),
    "random_forest": _grid("random_forest", effort=32),
    "svm": _grid("svm", effort=20),
    "stacked": ModelKind(
        "fusion.models.stacked:StackedModel",
        ("metadata", "tuning", "head"),
        tuned=True,
        effort=51,
        gathers=True,
    ),
    "rank_average": ModelKind(
        "fusion.models.rank_average:RankAverage",
        ("metadata", "tuning"),
        weighs_columns=False,
        effort=50,
    ),
    "clinical_reference": ModelKind(
        "fusion.models.clinical_reference:ClinicalReference",
        ("metadata", "tuning"),
        role="clinical reference",
        cheap=True,
        columns=reference_columns,
        effort=0,
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
