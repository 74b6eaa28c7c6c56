"""A bundle on another cohort: the numbers are those of its predictions, and nobody vanishes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from locations import ROOT

from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from featurestore.tables.dictionary import DataDictionary
from fusion import metrics
from fusion.bundle.make import fit_bundle
from fusion.predict import Predictor
from fusion.predict.external import DESIGN, ExternalValidation, validate, write_validation
from fusion.study.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("external")
    study = Study.open(ROOT / "tests" / "tiny.yaml", folder / "run")
    study.evidence(study.ablate())
    fit_bundle(study, folder / "bundle", (), 2)
    return Predictor.load(folder / "bundle")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("other")
    config = ROOT / "tests" / "tiny.yaml"
    return Study.open(config, folder, overrides=["seed=8"]).source_cohort


@pytest.fixture(scope="module")
def found(predictor: Predictor, other: Cohort) -> ExternalValidation:
    return validate(predictor, other, 200, 0)


def test_the_numbers_are_those_of_the_predictions(
    found: ExternalValidation, predictor: Predictor
) -> None:
    assert [a.arm for a in found.arms] == [m.arm for m in predictor.bundle.record.models]
    assert set(found.predictions["design"]) == {DESIGN}
    for arm in found.arms:
        rows = found.predictions[found.predictions["arm"] == arm.arm]
        y, score = rows["y"].to_numpy(float), rows["score"].to_numpy()
        assert arm.metrics["auroc"].value == pytest.approx(metrics.auroc(y, score)[0])
        decided = (rows["probability"] >= rows["threshold"]).to_numpy(float)
        assert arm.metrics["recall"].value == pytest.approx(metrics.recall(y, decided)[0])
        assert arm.cross_validated["auroc"].value != arm.metrics["auroc"].value


def test_everybody_is_scored_or_refused_with_a_reason(
    found: ExternalValidation, other: Cohort
) -> None:
    scored = set(found.predictions["patient_id"])
    assert scored | set(found.refused) == set(other.patients["patient_id"])
    assert not scored & set(found.refused)
    assert all(found.refused.values())
    assert found.n == len(scored)


def test_a_score_is_that_of_the_bundle(
    found: ExternalValidation, predictor: Predictor, other: Cohort
) -> None:
    patient = found.predictions["patient_id"].iloc[0]
    row = other.patients.set_index("patient_id").loc[patient]
    values = {
        c.name: row[c.name] for c in predictor.bundle.record.inputs if not pd.isna(row[c.name])
    }
    images = other.images.loc[other.images["patient_id"] == patient, "path"].tolist()
    (alone,) = predictor.predict([predictor.case(values, sorted(images))])
    first = found.predictions[found.predictions["arm"] == alone.score.arm]
    stated = first.set_index("patient_id").loc[patient, "probability"]
    np.testing.assert_allclose(stated, alone.score.probability, rtol=1e-9)


def test_another_outcome_is_refused(predictor: Predictor, other: Cohort) -> None:
    outcome = dataclasses.replace(other.outcome, name="melanoma")
    with pytest.raises(ConfigError, match="predicts 'synthetic_metastasis', the cohort's outcome"):
        validate(predictor, dataclasses.replace(other, outcome=outcome), 200, 0)


def test_columns_that_are_not_there_are_named(predictor: Predictor, other: Cohort) -> None:
    less = dataclasses.replace(
        other,
        patients=other.patients.drop(columns="breslow"),
        dictionary=DataDictionary(c for c in other.dictionary if c.name != "breslow"),
    )
    assert validate(predictor, less, 200, 0).absent == ("breslow",)


def test_the_files_hold_it_all(found: ExternalValidation, tmp_path: Path) -> None:
    written = write_validation(found, tmp_path / "out")
    assert {p.name for p in written} == {
        "external.csv",
        "refused.csv",
        "external_predictions.parquet",
    }
    table = pd.read_csv(tmp_path / "out" / "external.csv")
    row = table[(table["arm"] == found.arms[0].arm) & (table["metric"] == "auroc")].iloc[0]
    assert row["value"] == pytest.approx(found.arms[0].metrics["auroc"].value)
    assert row["cross_validated"] == pytest.approx(found.arms[0].cross_validated["auroc"].value)
