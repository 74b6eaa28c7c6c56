"""What the registry answers, and that answering is cheap."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from locations import ROOT
from times_features_example import MODALITIES

from featurestore.errors import ConfigError
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.models.base import BaseModel, FitRecord
from fusion.models.model_kind import NOT_OURS
from fusion.models.registry import (
    FAMILIES,
    MODELS,
    ModelKind,
    effort_of,
    find_model,
    make_model,
    names_of,
    relevant_settings,
)
from fusion.models.survival import BaseSurvivalModel
from fusion.models.survival.registered import SURVIVAL_MODELS

ArmMaker = Callable[[str, tuple[Modality, ...]], Arm]
HEAVY = ("torch", "torchvision", "timm", "lightgbm", "optuna", "sklearn")
LIGHT = """
import sys
from fusion.features import table
from fusion.models import base, calibration, explanation, floors, registry, settings
from fusion.models import study_location, thresholds, threads
from fusion.models.survival import registered
assert registry.names_of("floor") and registry.find_model("joint").sections
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_asking_loads_no_model() -> None:
    command = [sys.executable, "-c", LIGHT, *HEAVY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_made(
    name: str,
    make_arm: ArmMaker,
    modalities: tuple[Modality, ...],
    small_config: AblationConfig,
) -> None:
    model = make_model(make_arm(name, modalities), small_config)
    assert isinstance(model, BaseModel)
    assert tuple(model.settings.sections) == MODELS[name].sections


def test_roles() -> None:
    assert names_of("floor", kind="binary") == ("prevalence", "permuted_labels")
    assert names_of("floor", kind="time_to_event") == ("kaplan_meier", "permuted_labels")
    assert names_of("floor") == ("prevalence", "permuted_labels", "kaplan_meier")
    assert names_of("clinical reference", kind="binary") == ("clinical_reference",)
    assert names_of("clinical reference") == ("clinical_reference", "stage_reference")
    for kind, family in FAMILIES.items():
        every = names_of("arm", "floor", "clinical reference", kind=kind)
        assert set(every) == set(family.models)
        references = names_of("clinical reference", kind=kind)
        assert all((m.columns is not None) == (n in references) for n, m in family.models.items())
        permuted = [name for name, model in family.models.items() if model.permuted]
        assert permuted == ["permuted_labels"]
        floors = [model for model in family.models.values() if model.role == "floor"]
        assert not any(model.weighs_columns for model in floors)


def test_unknown_models_are_named_with_the_known_ones(
    make_arm: ArmMaker, small_config: AblationConfig
) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown model 'xgboost'; known: fusion_head, fusion_head_gated, "
    ):
        make_model(Arm("a", "xgboost", ()), small_config)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_documentation_lists_the_models(kind: str) -> None:
    text = (ROOT / "docs" / "ablation.md").read_text(encoding="utf-8")
    assert [name for name in FAMILIES[kind].models if f"`{name}`" not in text] == []


def test_a_name_means_another_model_for_another_kind() -> None:
    heads = [find_model("fusion_head", kind).load() for kind in FAMILIES]
    assert len(set(heads)) == len(FAMILIES)
    for name in SURVIVAL_MODELS:
        arm = Arm(name, name, MODALITIES)
        model = make_model(arm, AblationConfig(), kind="time_to_event")
        assert isinstance(model, BaseSurvivalModel)
        assert tuple(model.settings.sections) == SURVIVAL_MODELS[name].sections


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("cox_ridge", "binary", "'cox_ridge' is for outcomes of the kind 'time_to_event'; those "),
        (
            "svm",
            "time_to_event",
            r"'svm' is for outcomes of the kind 'binary'; those for 'time_to_",
        ),
        ("joint", "time_to_event", "those for 'time_to_event': fusion_head, fusion_head_gated, "),
        ("xgboost", "time_to_event", "unknown model 'xgboost'; known: fusion_head, "),
    ],
)
def test_a_model_that_a_kind_lacks_is_one_line(name: str, kind: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        find_model(name, kind)
    assert "\n" not in str(caught.value)


def test_settings_that_matter_to_times_are_their_own() -> None:
    arm = Arm("a", "cox_ridge", MODALITIES)
    config = AblationConfig(risk_groups=(0.5,))
    found = relevant_settings(arm, config, Path(), "time_to_event")
    assert found["risk_groups"] == [0.5]
    assert not {"threshold", "calibration", "head"} & found.keys()
    isotonic = AblationConfig(calibration="isotonic")
    with pytest.raises(ConfigError, match="'isotonic' is for binary outcomes"):
        relevant_settings(arm, isotonic, Path(), "time_to_event")


def test_weighted_sampling_is_of_binary_outcomes() -> None:
    config = AblationConfig.model_validate({"head": {"weighted_sampling": True}})
    with pytest.raises(ConfigError, match="weighted_sampling draws events and non-events"):
        make_model(Arm("a", "fusion_head", MODALITIES), config, kind="time_to_event")


def test_settings_that_matter_are_those_of_the_model(
    make_arm: ArmMaker, modalities: tuple[Modality, ...], small_config: AblationConfig
) -> None:
    tuning = small_config.tuning.model_copy(update={"storage": "sqlite://x"})
    stored = small_config.model_copy(update={"jobs": 9, "tuning": tuning})

    def settings(name: str, config: AblationConfig) -> dict[str, object]:
        return relevant_settings(make_arm(name, modalities), config, Path())

    for name in MODELS:
        assert settings(name, stored) == settings(name, small_config)
    assert "head" in settings("fusion_head", small_config)
    assert "head" not in settings("lightgbm", small_config)


class Careless(BaseModel):
    """Reads a section that its line does not declare."""

    def _fit(self, rows: object, seed: int) -> FitRecord:
        raise AssertionError(self.settings.head)

    def _probability(self, rows: object) -> None:  # type: ignore[override]
        raise AssertionError


def test_a_section_that_is_not_declared_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, small_config: AblationConfig, table: object
) -> None:
    monkeypatch.setitem(MODELS, "careless", ModelKind(Careless, ("metadata",)))
    model = make_model(Arm("careless", "careless", ()), small_config)
    assert find_model("careless").load() is Careless
    with pytest.raises(LookupError, match="reads the section 'head', which its line"):
        model.fit(table, 0)  # type: ignore[arg-type]


def test_every_model_that_competes_says_what_effort_it_takes() -> None:
    efforts = {name: effort_of(name) for name in names_of("arm", "clinical reference")}
    assert len(set(efforts.values())) == len(efforts)
    assert max(efforts.values()) < NOT_OURS == effort_of("brought_along")
    assert effort_of("logistic_regression") < effort_of("lightgbm") < effort_of("fusion_head")
