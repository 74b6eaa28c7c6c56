"""What a study of times to an event plans, and what it refuses before anything is fitted."""

from __future__ import annotations

from typing import Any

import pytest
from times_features_example import DICTIONARY

from featurestore.errors import ConfigError
from fusion.config import RunConfig
from fusion.evaluation.planning import plan_study

SOURCES = [{"kind": "synthetic", "patients": 60, "genes": 24}]


def config_of(**sections: Any) -> RunConfig:
    cohort = {"outcome": "synthetic_metastasis", "sources": SOURCES}
    ablation = {"modalities": {"clinical": {"groups": ["staging", "histopathology"]}}}
    return RunConfig.model_validate(
        {"name": "t", "cohort": cohort, "ablation": ablation} | sections
    )


def models_of(config: RunConfig, kind: str) -> list[str]:
    return [arm.model for arm in plan_study(config, False, DICTIONARY, kind).arms]


def test_each_kind_has_arms_of_its_own() -> None:
    assert models_of(config_of(), "binary") == [
        "fusion_head",
        "lightgbm",
        "logistic_regression",
        "rank_average",
        "clinical_reference",
        "prevalence",
        "permuted_labels",
    ]
    assert models_of(config_of(), "time_to_event") == [
        "fusion_head",
        "lightgbm",
        "cox_ridge",
        "rank_average",
        "clinical_reference",
        "stage_reference",
        "kaplan_meier",
        "permuted_labels",
    ]


def test_a_configuration_that_was_written_out_plans_the_same() -> None:
    config = config_of()
    again = RunConfig.model_validate(config.model_dump(mode="json"))
    for kind in ("binary", "time_to_event"):
        assert models_of(again, kind) == models_of(config, kind)


TUNED = {"finetune": {"backbones": [{"name": "resnet18"}]}}


@pytest.mark.parametrize(
    ("sections", "linkage", "said"),
    [
        ({"ablation": {"models": ["svm"]}}, "patient", "'svm' is for outcomes of the kind 'binary"),
        ({}, "label_matched", "label_matched lends rows between patients of the same label"),
        (
            {"ablation": {"head": {"batched": True}}},
            "patient",
            "head.batched: no arm has heads that train together",
        ),
        (TUNED, "patient", "encoders are not fine-tuned on an outcome of the kind 'time_to_event'"),
    ],
)
def test_what_times_cannot_do_is_one_line(
    sections: dict[str, Any], linkage: str, said: str
) -> None:
    config = config_of(**sections)
    cohort = config.cohort.model_copy(update={"linkage": linkage})
    with pytest.raises(ConfigError, match=said) as caught:
        models_of(config.model_copy(update={"cohort": cohort}), "time_to_event")
    assert "\n" not in str(caught.value)
