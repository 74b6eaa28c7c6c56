"""What the registry answers, and that answering is cheap."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from locations import ROOT

from featurestore.errors import ConfigError
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.models.base import BaseModel, FitRecord
from fusion.models.registry import (
    MODELS,
    ModelKind,
    find_model,
    make_model,
    names_of,
    relevant_settings,
)

ArmMaker = Callable[[str, tuple[Modality, ...]], Arm]
HEAVY = ("torch", "torchvision", "timm", "lightgbm", "optuna", "sklearn")
LIGHT = """
import sys
from fusion.features import table
from fusion.models import base, calibration, explanation, floors, registry, settings
from fusion.models import study_location, thresholds, threads
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
    assert names_of("floor") == ("prevalence", "permuted_labels")
    assert names_of("clinical reference") == ("clinical_reference",)
    assert {*names_of("arm"), *names_of("floor", "clinical reference")} == set(MODELS)
    assert [name for name, kind in MODELS.items() if kind.permuted] == ["permuted_labels"]
    assert all(not kind.weighs_columns for kind in MODELS.values() if kind.role == "floor")


def test_unknown_models_are_named_with_the_known_ones(
    make_arm: ArmMaker, small_config: AblationConfig
) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown model 'xgboost'; known: fusion_head, fusion_head_gated, "
    ):
        make_model(Arm("a", "xgboost", ()), small_config)


def test_the_documentation_lists_the_models() -> None:
    text = (ROOT / "docs" / "ablation.md").read_text(encoding="utf-8")
    assert [name for name in MODELS if f"`{name}`" not in text] == []


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
