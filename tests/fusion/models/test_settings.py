"""What a model is handed is what names its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from extractor.config_finetune import AugmentConfig
from featurestore.cohort.folds import make_folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig
from fusion.evaluation.tasks import Plan, plan_tasks
from fusion.models.settings import Settings


def test_no_other_section_can_be_read() -> None:
    settings = Settings.of(AblationConfig(), ("metadata",))
    assert settings.metadata == AblationConfig().metadata
    for name in ("head", "joint", "tuning"):
        with pytest.raises(LookupError, match=f"reads the section '{name}'.*declare .metadata"):
            getattr(settings, name)


def test_where_a_study_is_stored_is_not_handed(tmp_path: Path) -> None:
    config = AblationConfig()
    stored = config.tuning.model_copy(update={"storage": "sqlite:///elsewhere"})
    settings = Settings.of(config.model_copy(update={"tuning": stored}), ("tuning",))
    assert settings.tuning.storage is None
    assert settings.record(tmp_path) == Settings.of(config, ("tuning",)).record(tmp_path)


def test_the_record_has_every_value_that_is_handed(tmp_path: Path) -> None:
    config = AblationConfig(head=HeadConfig(epochs=7))
    record = Settings.of(config, ("metadata", "head")).record(tmp_path)
    assert record == {
        "metadata": config.metadata.model_dump(mode="json"),
        "head": config.head.model_dump(mode="json"),
    }
    assert record["head"]["epochs"] == 7


class TestPipelines:
    """A pipeline of Albumentations decides what a joint network learns."""

    def config(self, name: str) -> AblationConfig:
        config = AblationConfig()
        augment = AugmentConfig(albumentations=Path(name))
        return config.model_copy(
            update={"joint": config.joint.model_copy(update={"augment": augment})}
        )

    def digests(self, config: AblationConfig, model: str, cohort: Cohort, root: Path) -> list[str]:
        patients = cohort.patients
        if "person_id" not in patients:
            patients = patients.assign(person_id=patients["patient_id"])
        folds = make_folds(patients, {p: p for p in patients["patient_id"]}, 2, 1, 0)
        plan = Plan(config, 0, "test", root / "work", "d", root)
        arm = Arm(model, model, (Modality("net_p", embeddings=("net_p",)),))
        return [task.digest for task in plan_tasks(folds, [arm], plan)]

    def test_an_edited_one_is_fitted_anew_and_a_renamed_one_is_not(
        self, cohort: Cohort, tmp_path: Path
    ) -> None:
        file = tmp_path / "pipeline.json"
        file.write_text('{"transform": 1}', encoding="utf-8")
        first = self.digests(self.config("pipeline.json"), "joint", cohort, tmp_path)
        file.write_text('{"transform": 2}', encoding="utf-8")
        edited = self.digests(self.config("pipeline.json"), "joint", cohort, tmp_path)
        assert not set(first) & set(edited)
        file.rename(tmp_path / "other.json")
        assert self.digests(self.config("other.json"), "joint", cohort, tmp_path) == edited
        (tmp_path / "other.json").write_text('{"transform": 1}', encoding="utf-8")
        assert self.digests(self.config("other.json"), "joint", cohort, tmp_path) == first

    def test_others_do_not_depend_on_it(self, cohort: Cohort, tmp_path: Path) -> None:
        config = self.config("absent.json")
        expected = self.digests(AblationConfig(), "fusion_head", cohort, tmp_path)
        assert self.digests(config, "fusion_head", cohort, tmp_path) == expected

    def test_an_absent_one_is_one_line(self, cohort: Cohort, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"Albumentations pipeline .*absent\.json: No such"):
            self.digests(self.config("absent.json"), "joint", cohort, tmp_path)
