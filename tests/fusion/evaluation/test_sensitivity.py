"""Arms that handle missing values otherwise: what they learn from, and what is said of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, MetadataConfig, TuningConfig
from fusion.evaluation.designs import training_part, with_designs
from fusion.evaluation.run import evaluate
from fusion.evaluation.sensitivity import ANALYSES, COMPLETE, IMPUTATIONS, IMPUTED, PLAIN, model_of
from fusion.evaluation.tasks import Plan
from fusion.evidence.aligned import align
from fusion.evidence.sensitivity import sensitivity
from fusion.features.table import FeatureTable
from fusion.models.imputed import _completed

CONFIG = AblationConfig(
    sensitivity=True,
    models=("logistic_regression",),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
    tuning=TuningConfig(inner_folds=2),
    jobs=1,
)
REFERENCE, BASELINE = "clinical_reference", "logistic_regression[all]"


@pytest.fixture(scope="module")
def arms(table: FeatureTable, modalities: tuple[Modality, ...]) -> tuple[Arm, ...]:
    planned = [
        Arm(BASELINE, "logistic_regression", modalities),
        Arm("logistic_regression[clinical]", "logistic_regression", modalities[1:2]),
        Arm("lightgbm[all]", "lightgbm", modalities),
        Arm(REFERENCE, "clinical_reference", modalities[1:2]),
        Arm("permuted_labels", "permuted_labels", modalities),
    ]
    return with_designs(planned, modalities, table.dictionary, CONFIG)


def test_the_reference_and_a_cheap_baseline_are_analysed(arms: tuple[Arm, ...]) -> None:
    made = [(arm.name, arm.design) for arm in arms if arm.design != "ablation"]
    assert made == [
        (f"{name}, {analysis}", analysis) for name in (BASELINE, REFERENCE) for analysis in ANALYSES
    ]


def test_without_an_arm_that_is_cheap_it_is_an_error(
    table: FeatureTable, modalities: tuple[Modality, ...]
) -> None:
    planned = [Arm("lightgbm[all]", "lightgbm", modalities)]
    with pytest.raises(ConfigError, match="no arm that is cheap to fit again"):
        with_designs(planned, modalities, table.dictionary, CONFIG)


def test_complete_cases_learn_from_those_whose_reference_is_known(table: FeatureTable) -> None:
    part = training_part(table, COMPLETE, 0)
    needed = table.columns[["breslow", "ulceration", "age_at_diagnosis"]].notna().all(axis=1)
    assert list(part.row_ids) == list(table.row_ids[needed.to_numpy()])
    assert 0 < len(part) < len(table)


@pytest.fixture(scope="module")
def finished(
    cohort: Cohort,
    folds: Folds,
    table: FeatureTable,
    arms: tuple[Arm, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[pd.DataFrame, Path]:
    work = tmp_path_factory.mktemp("sensitivity")
    kept = [arm for arm in arms if arm.model in ("logistic_regression", "clinical_reference")]
    plan = Plan(CONFIG, 0, "test", work, "d")
    return evaluate(cohort, folds, lambda repeat, fold: table, kept, plan), work


def _inputs(work: Path, arm: str) -> list[str]:
    fits = json.loads((work / "choices.json").read_text())["fits"]
    fit = next(fit for fit in fits if fit["arm"] == arm and fit["fold"] == 0)
    return [one["feature"] for one in fit["choices"]["coefficients"]]


def test_indicators_are_off_where_they_should_be(finished: tuple[pd.DataFrame, Path]) -> None:
    _, work = finished
    plain = _inputs(work, f"{BASELINE}, {PLAIN}")
    usual = _inputs(work, BASELINE)
    assert {"breslow_missing", "net_a_missing"} <= set(usual)
    assert plain == [name for name in usual if not name.endswith("_missing")]
    assert f"{REFERENCE}, {PLAIN}" != REFERENCE
    assert "breslow_missing" not in _inputs(work, f"{REFERENCE}, {PLAIN}")
    # Nothing is missing of an imputed table; pictures are not imputed.
    imputed = _inputs(work, f"{BASELINE}, {IMPUTED}")
    assert "breslow_missing" not in imputed
    assert "net_a_missing" in imputed


def test_numbers_are_those_of_the_predictions(
    finished: tuple[pd.DataFrame, Path], cohort: Cohort
) -> None:
    predictions, _ = finished
    aligned = align(predictions, BASELINE)
    found = sensitivity(cohort, aligned, aligned.patient_ids, 200, 0)
    assert [(one.arm, one.analysis) for one in found] == [
        (name, analysis) for name in (REFERENCE, BASELINE) for analysis in ANALYSES
    ]
    patients = cohort.patients.set_index("patient_id").loc[aligned.patient_ids]
    complete = patients[["breslow", "ulceration", "age_at_diagnosis"]].notna().all(axis=1)
    for one in found:
        who = complete if one.analysis == COMPLETE else complete | True
        assert (one.n, one.events) == (who.sum(), aligned.y[who.to_numpy()].sum())

        def auroc(arm: str, who: pd.Series = who) -> float:
            rows = predictions[predictions["arm"] == arm].set_index("patient_id")
            rows = rows.loc[who.index[who]]
            return float(metrics.auroc(rows["y"].to_numpy(float), rows["score"].to_numpy())[0])

        assert one.shown is not None
        assert one.auroc is not None
        assert one.change is not None
        assert one.shown.value == pytest.approx(auroc(one.arm))
        assert one.auroc.value == pytest.approx(auroc(f"{one.arm}, {one.analysis}"))
        assert one.change.value == pytest.approx(one.auroc.value - one.shown.value)
        assert one.change.method == "bound"
        assert 0 <= one.p <= 1


def test_too_few_complete_cases_have_counts_and_no_numbers(
    finished: tuple[pd.DataFrame, Path], cohort: Cohort
) -> None:
    aligned = align(finished[0], BASELINE)
    rare = cohort.patients.assign(breslow=np.nan)
    found = sensitivity(
        dataclasses.replace(cohort, patients=rare), aligned, aligned.patient_ids, 20, 0
    )
    first = found[0]
    assert (first.analysis, first.n, first.auroc, first.change) == (COMPLETE, 0, None, None)
    assert found[1].auroc is not None


def test_imputations_are_averaged_on_the_log_odds(
    table: FeatureTable, arms: tuple[Arm, ...]
) -> None:
    arm = next(a for a in arms if a.design == IMPUTED and a.model == "clinical_reference")
    model = model_of(arm, CONFIG, None).fit(table, 3)
    whole = model.predict_proba(table)
    fits = model._fits  # type: ignore[attr-defined]
    assert len(fits) == IMPUTATIONS == model.choices_["imputations"]
    gaps = table.columns["breslow"].isna().to_numpy()
    order = np.lexsort((table.row_ids.astype(str), table.patient_ids.astype(str)))
    sorted_rows = table.take(order)
    parts = [
        metrics.logit(one.predict_proba(_completed(sorted_rows, imputer))) for imputer, one in fits
    ]
    np.testing.assert_allclose(whole[order], metrics.sigmoid(np.mean(parts, axis=0)), rtol=1e-9)
    spread = np.std(parts, axis=0)
    assert spread[gaps[order]].mean() > spread[~gaps[order]].mean(), "gaps are drawn anew"
    np.testing.assert_array_equal(
        whole, model_of(arm, CONFIG, None).fit(table, 3).predict_proba(table)
    )


def test_imputations_are_fitted_on_training_patients_alone(
    finished: tuple[pd.DataFrame, Path], table: FeatureTable, arms: tuple[Arm, ...]
) -> None:
    fits = json.loads((finished[1] / "choices.json").read_text())["fits"]
    imputed = [fit for fit in fits if fit["design"] == IMPUTED]
    assert imputed
    for fit in imputed:
        (step,) = (step for step in fit["steps"] if step["step"] == "imputation")
        assert step["role"] == "fitted on"
        assert step["patients"] == fit["training_patients"]
        assert not step["outside_training"]
    # Whoever is predicted leaves no trace in the model.
    patients = sorted(set(table.patient_ids))
    training, test = table.of_patients(patients[:80]), table.of_patients(patients[80:])
    arm = next(a for a in arms if a.design == IMPUTED and a.model == "clinical_reference")
    model = model_of(arm, CONFIG, None).fit(training, 3)
    before = model.predict_proba(training)
    wild = test.columns.assign(age_at_diagnosis=1e6)
    model.predict_proba(dataclasses.replace(test, columns=wild))
    np.testing.assert_array_equal(model.predict_proba(training), before)
