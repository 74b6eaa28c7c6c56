"""A study with what others bring: a model of a package, and predictions from outside."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from bundle_example import CONFIG, OVERRIDES
from plugin_example import install
from sklearn.linear_model import LogisticRegression

from featurestore.errors import ConfigError, DataError
from fusion.bundle.make import choose_arms
from fusion.config import ExportConfig
from fusion.evidence import Evidence, finished_run
from fusion.features.tuned import NO_FOLD_ENCODERS
from fusion.models import own
from fusion.paths import RunPaths
from fusion.study import Study
from fusion.study.matrix import Matrix

if TYPE_CHECKING:
    from bundle_example import Fitted

ARMS = (
    "[{model: fusion_head}, {model: lightgbm, modalities: [clinical]}, "
    "{model: boosted, modalities: [clinical]}]"
)


@pytest.fixture(scope="module")
def study(tiny: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The tiny study with an arm of the package of docs/plugins.md."""
    out = tmp_path_factory.mktemp("own") / "run"
    shutil.copytree(tiny.out, out)
    more = (f"ablation.arms={ARMS}", "ablation.overlays=0")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
        yield Study.open(CONFIG, out=out, overrides=[*OVERRIDES, *more])
    sys.modules.pop("mine", None)
    own._registered.clear()


@pytest.fixture(scope="module")
def matrix(study: Study) -> Matrix:
    return study.matrix(["resnet18", "clinical"])


@pytest.fixture(scope="module")
def outside(matrix: Matrix) -> pd.DataFrame:
    """Out-of-fold predictions by the age alone, as anybody would make them."""
    age = matrix.X[:, [matrix.names.index("age")]]
    x = np.nan_to_num(age, nan=60.0)
    parts = []
    for split in matrix.splits:
        fitted = LogisticRegression().fit(x[split.train], matrix.y[split.train])
        parts.append(matrix.predictions(split, fitted.predict_proba(x[split.test])[:, 1]))
    return pd.concat(parts)


@pytest.fixture(scope="module")
def evidence(study: Study, outside: pd.DataFrame) -> Evidence:
    """Everything, with the predictions from outside among it."""
    predictions = study.score("by_age", outside, ["clinical"])
    found = study.evidence(predictions)
    study.report(found)
    study.export(predictions, ExportConfig(formats=("csv", "jsonl"), embeddings="none"))
    return found


def test_the_matrix_is_what_the_store_and_the_cohort_say(study: Study, matrix: Matrix) -> None:
    assert matrix.X.shape == (len(study.cohort.patients), len(matrix.names))
    assert matrix.ids.tolist() == sorted(study.cohort.patients["patient_id"])
    patients = study.cohort.patients.set_index("patient_id").loc[matrix.ids]
    assert matrix.y.tolist() == patients["outcome"].tolist()
    assert matrix.time is None
    column = {name: matrix.X[:, k] for k, name in enumerate(matrix.names)}
    np.testing.assert_array_equal(column["breslow"], patients["breslow"])
    levels = {c.name: c.levels for c in study.cohort.dictionary}
    named = [levels["stage"].index(s) if isinstance(s, str) else np.nan for s in patients["stage"]]
    np.testing.assert_array_equal(column["stage"], named)
    known = patients["sex"].notna().to_numpy()
    np.testing.assert_array_equal(column["sex=Male"][known], patients["sex"][known] == "Male")
    assert np.isnan(column["sex=Male"][~known]).all()
    images = study.cohort.pictures
    encoder = study.encoders(0, 0)["resnet18"]
    for patient in matrix.ids[:5]:
        own_images = images.loc[images["patient_id"] == patient, "sha256"].tolist()
        mean = study.store.read(encoder, own_images).astype(float).mean(axis=0)
        row = matrix.X[matrix.ids.tolist().index(patient)]
        np.testing.assert_allclose(row[: len(mean)], mean, rtol=1e-12)
    assert matrix.names[7] == "resnet18_007"


def test_the_matrix_has_the_frozen_folds(study: Study, matrix: Matrix) -> None:
    assert matrix.folds.shape == (1, len(matrix.ids))
    assert matrix.folds[0].tolist() == study.folds.tested(0).loc[matrix.ids].tolist()
    for split in matrix.splits:
        key = split.repeat, split.fold
        assert matrix.ids[split.test].tolist() == list(study.folds.test(key))
        assert matrix.ids[split.train].tolist() == list(study.folds.training(key))
    assert matrix.groups.tolist() == [study.groups[patient] for patient in matrix.ids]
    alone = study.matrix(["clinical"], fold=(0, 1))
    assert [s.fold for s in alone.splits] == [1]
    assert set(alone.folds[0]) == {-1, 1}
    with pytest.raises(ConfigError, match=r"modality 'x' is unknown; known: resnet18"):
        study.matrix(["x"])
    with pytest.raises(ConfigError, match=r"there is no fold \(0, 9\)"):
        study.matrix(fold=(0, 9))


def test_both_are_in_table_report_and_export(study: Study, evidence: Evidence) -> None:
    names = {arm.arm: arm for arm in evidence.arms}
    assert names["boosted[clinical]"].modalities == ("clinical",)
    assert names["by_age"].modalities == ("clinical",)
    compared = pd.read_csv(study.paths.report / "metrics.csv")
    assert {"boosted[clinical]", "by_age"} <= set(compared["arm"])
    page = (study.paths.report / "report.md").read_text(encoding="utf-8")
    assert "- boosted: HistGradientBoostingClassifier (scikit-learn " in page
    assert ", melafuse-mine 1.0), a model that is no part of melafuse" in page
    assert "- by_age: predictions that were made outside of this run; how is not on record" in page
    assert "Nothing records whom by_age was fitted on in 2 folds" in page
    exported = pd.read_csv(study.paths.export / "predictions.csv")
    assert {"boosted[clinical]", "by_age"} <= set(exported["arm"])
    lines = (study.paths.export / "predictions.jsonl").read_text(encoding="ascii").splitlines()
    assert len(lines) == 1 + len(exported)


def test_differences_are_paired_with_all_others(evidence: Evidence) -> None:
    arms = {arm.arm: arm for arm in evidence.arms}
    baseline = arms["fusion_head[all]"].metrics["auroc"].value
    for name in ("boosted[clinical]", "by_age"):
        difference = arms[name].differences["auroc"]
        own_value = arms[name].metrics["auroc"].value
        assert difference.estimate.value == pytest.approx(own_value - baseline, abs=1e-12)
        assert difference.estimate.low < difference.estimate.high
        assert 0 <= difference.p <= 1


def test_a_bundle_is_refused_with_a_reason(study: Study) -> None:
    message = r"--arm 'boosted\[clinical\]' cannot be bundled \(boosted is no part of melafuse and"
    with pytest.raises(ConfigError, match=message):
        choose_arms(study.arms, study.baseline, ["boosted[clinical]"])


@pytest.mark.usefixtures("evidence")
def test_a_run_is_read_without_the_package(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "path", [p for p in sys.path if "site" not in Path(p).name or "lib" in p]
    )
    found = finished_run(RunPaths(study.paths.root)).evidence
    assert {"boosted[clinical]", "by_age"} <= {arm.arm for arm in found.arms}
    again = Study.open(CONFIG, out=study.paths.root, overrides=[f"ablation.arms={ARMS}"])
    with pytest.raises(ConfigError, match=r"unknown model 'boosted'; known: fusion_head, "):
        _ = again.arms


def test_a_matrix_of_encoders_that_are_tuned_by_fold_is_of_one_fold(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = {key: {"resnet18": study.encoders(*key)["resnet18"]} for key in study.folds.keys}
    encoders = dataclasses.replace(NO_FOLD_ENCODERS, identities=tuned)
    monkeypatch.setitem(study.__dict__, "fold_encoders", encoders)
    with pytest.raises(
        ConfigError, match=r"matrix: resnet18 is trained anew in every outer fold; "
    ):
        study.matrix(["resnet18", "clinical"])
    assert study.matrix(["clinical"]).X.shape[1] == 13
    assert study.matrix(["resnet18"], fold=(0, 0)).X.shape[1] == 512


@pytest.mark.usefixtures("evidence")
def test_predictions_stay_until_the_folds_change(study: Study, outside: pd.DataFrame) -> None:
    assert "by_age" in set(study.ablate()["arm"])
    with pytest.raises(ConfigError, match="'boosted' is the name of an arm or model"):
        study.score("boosted", outside)
    with pytest.raises(ConfigError, match="score: a name has 1 to 64 letters, not "):
        study.score("two\nlines", outside)
    with pytest.raises(ConfigError, match="forget: 'else' was not scored; known: by_age"):
        study.forget("else")
    with pytest.raises(
        DataError, match="by_age: 31 ids are predicted in repeat 0, 60 are tested; 29 "
    ):
        study.score("by_age", outside[outside["fold"] == 0])
    with pytest.raises(
        ConfigError, match="'by_age' is the name of predictions that were scored, an"
    ):
        named_like_a_model(study)
    assert "by_age" not in set(study.forget("by_age")["arm"])


def named_like_a_model(study: Study) -> pd.DataFrame:
    """Another study in the same folder has a model of the name that predictions have."""
    other = Study.open(CONFIG, out=study.paths.root, overrides=OVERRIDES)
    other.add_model("by_age", LogisticRegression(), ["clinical"])
    return other.ablate()
