"""Arms over outer folds: what is refused, and what ends a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation_example import Setting, read_choices, setting_of
from listener_example import Listener

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError, DataError, LeakageError
from fusion.arms import Arm, Modality
from fusion.evaluation.tasks import split_fold
from fusion.features.table import FeatureTable
from fusion.models.registry import MODELS, ModelKind


@pytest.fixture(scope="module")
def setting(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Setting:
    return setting_of(cohort, folds, table, modalities)


class TestRefusals:
    def test_a_patient_on_both_sides(self, table: FeatureTable) -> None:
        with pytest.raises(LeakageError, match="1 id is in training and test: P0003"):
            split_fold(table, ["P0001", "P0003"], ["P0002", "P0003"])

    def test_a_group_on_both_sides(self, table: FeatureTable) -> None:
        tied = np.where(table.patient_ids == "P0002", "P0001", table.groups)
        with pytest.raises(LeakageError, match="1 group that shares a patient or images lies"):
            split_fold(dataclasses.replace(table, groups=tied), ["P0001"], ["P0002"])

    def test_a_patient_without_features(self, table: FeatureTable) -> None:
        with pytest.raises(DataError, match="1 id has no features in the folds: P9999"):
            split_fold(table, ["P0001"], ["P9999"])

    def test_folds_that_were_tampered_with(self, setting: Setting, tmp_path: Path) -> None:
        table = setting.folds.table
        both = pd.concat([table, table[table["role"] == "test"].assign(role="train")])
        with pytest.raises(LeakageError, match="more than one role"):
            setting.run(tmp_path, folds=Folds(both))
        stranger = table.assign(patient_id="X1").iloc[:1]
        with pytest.raises(DataError, match="the cohort lacks: X1"):
            setting.run(tmp_path, folds=Folds(pd.concat([table, stranger])))

    def test_leaking_groups_end_the_run(self, setting: Setting, tmp_path: Path) -> None:
        tied = dataclasses.replace(setting.table, groups=np.full(len(setting.table), "G"))
        with pytest.raises(LeakageError, match="1 group that shares a patient"):
            setting.run(tmp_path, features_for=lambda r, f: tied)

    def test_unknown_models_are_refused_before_anything_is_read(
        self, setting: Setting, tmp_path: Path
    ) -> None:
        with pytest.raises(ConfigError, match="unknown model 'magic'"):
            setting.run(tmp_path, arms=[Arm("magic", "magic", ())], features_for=None)

    def test_an_arm_that_fails_on_a_fold_is_left_out_and_named(
        self, setting: Setting, tmp_path: Path, modalities: tuple[Modality, ...]
    ) -> None:
        blind = setting.table.embeddings["net_a"].copy()
        blind[np.isin(setting.table.patient_ids, setting.folds.training((0, 1)))] = np.nan
        table = dataclasses.replace(setting.table, embeddings={"net_a": blind})
        arms = [
            Arm("image", "logistic_regression", modalities[:1]),
            Arm("clinical", "logistic_regression", modalities[1:2]),
        ]
        listener = Listener()
        features = {0: setting.table, 1: table, 2: setting.table}
        result = setting.run(
            tmp_path, arms=arms, features_for=lambda r, f: features[f], progress=listener
        )
        assert set(result["arm"]) == {"clinical"}
        assert "arm image left out, it failed on 1 folds (repeat 0, fold 1: no" in listener.summary
        failures = read_choices(tmp_path)["failures"]
        assert [(f["arm"], f["fold"]) for f in failures] == [("image", 1)]
        with pytest.raises(DataError, match="no arm could be fitted on all folds; image: no train"):
            setting.run(tmp_path, arms=arms[:1], features_for=lambda r, f: features[f])

    def test_errors_of_the_program_are_not_swallowed(
        self, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*args: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setitem(MODELS, "prevalence", ModelKind(broken, ()))
        with pytest.raises(ZeroDivisionError):
            setting.run(tmp_path, arms=[Arm("prevalence", "prevalence", ())])

    def test_a_full_disk_is_one_line(
        self, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: Any, **kwargs: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("fusion.evaluation.parts.pq.write_table", full)
        with pytest.raises(DataError, match=r"cannot write to .*parts: No space left on device"):
            setting.run(tmp_path, arms=setting.arms[2:3])
        assert not list((tmp_path / "parts").glob("*.parquet"))
