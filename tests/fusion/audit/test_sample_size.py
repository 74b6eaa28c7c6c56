"""Sample sizes against those that pmsampsize prints for its published examples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from audit_example import clean_cohort, make_subject, run_one, with_column

from featurestore.tables.dictionary import Column
from fusion.arms import Arm, Modality
from fusion.audit.sample_size import (
    arm_parameters,
    cox_snell,
    patients_for_optimism,
    patients_for_prevalence,
    patients_for_probabilities,
    patients_for_shrinkage,
    patients_needed,
)
from fusion.audit.subject_views import planned_arms
from fusion.config import AblationConfig, ModalityConfig
from fusion.metrics.explained import nagelkerke_r2


def test_published_example() -> None:
    """Riley et al. 2019: 24 parameters, prevalence 0.174, Cox-Snell R² 0.288."""
    assert patients_for_shrinkage(24, 0.288) == 623
    assert patients_for_optimism(24, 0.288, 0.174) == 662
    assert patients_for_prevalence(0.174) == 221


def test_cox_snell_is_nagelkerke_of_its_largest_value() -> None:
    # Riley et al. 2020: the largest Cox-Snell R² is 0.75 at prevalence 0.5 and 0.33 at 0.05
    assert cox_snell(0.5, 1.0) == pytest.approx(0.75)
    assert cox_snell(0.05, 1.0) == pytest.approx(0.33, abs=0.005)
    assert cox_snell(0.5) == pytest.approx(0.15 * 0.75)


def test_more_parameters_need_more_patients() -> None:
    needed = [patients_needed(k, 0.3) for k in (1, 5, 20, 100)]
    assert needed == sorted(needed)
    assert patients_for_probabilities(20, 0.3) > patients_for_probabilities(10, 0.3)


def test_parameters_are_those_of_a_regression() -> None:
    cohort = clean_cohort(patients=64)
    wide = cohort
    for k in range(30):
        wide = with_column(wide, Column(f"expr_G{k}", "expression", "rna"), np.arange(64.0) + k)
    subject = make_subject(wide)
    clinical = Modality("clinical", groups=("demographic", "histopathology", "staging"))
    rna, net = Modality("rna", groups=("rna",)), Modality("net", embeddings=("net",))
    counted = [
        arm_parameters(Arm("a", "logistic_regression", m), subject)
        for m in ((clinical,), (rna,), (net,), (clinical, rna, net))
    ]
    # age, sex, breslow with its indicator, stage; 16 components; 32 components
    assert counted == [5, 16, 32, 53]
    assert arm_parameters(Arm("p", "prevalence", ()), subject) == 0
    assert arm_parameters(Arm("c", "clinical_reference", (clinical,)), subject) == 3


def test_few_events_are_a_note_and_fewer_than_parameters_a_warning() -> None:
    subject = make_subject(clean_cohort(patients=64))
    result = run_one("events_per_predictor", subject)
    assert result.severity == "note"
    assert "5 parameters on 48 training patients" in result.hits[0].text
    images = AblationConfig(
        modalities={"net": ModalityConfig(embeddings=("net",))},
        models=("logistic_regression",),
        arms=(),
    )
    embedded = run_one("events_per_predictor", dataclasses.replace(subject, ablation=images))
    assert embedded.severity == "warning"
    assert "more parameters than patients of the rarer class" in embedded.hits[0].text


def test_the_r2_that_is_assumed_is_printed_with_the_one_observed() -> None:
    subject = make_subject(clean_cohort(patients=64))
    text = run_one("events_per_predictor", subject).hits[0].text
    assert "if its Nagelkerke R² is 0.15, as is assumed" in text
    assert "Observed" not in text
    rng = np.random.default_rng(0)
    names = [arm.name for arm in planned_arms(subject)]
    y = subject.cohort.patients["outcome"].to_numpy()
    for strength, said in ((2.0, "which needs about"), (-2.0, "no more than the prevalence")):
        score = strength * (y - 0.5) + 0.2 * rng.normal(size=len(y))
        table = pd.concat(
            pd.DataFrame(
                {"arm": name, "repeat": 0, "y": y, "probability": 1 / (1 + np.exp(-score))}
            )
            for name in names
        )
        predicted = dataclasses.replace(subject, predictions=table)
        observed = nagelkerke_r2(y, 1 / (1 + np.exp(-score)))
        text = run_one("events_per_predictor", predicted).hits[0].text
        assert f"Observed out of fold: {observed:.3f}" in text
        assert said in text
    n, parameters = 48, 5
    assert patients_needed(parameters, 0.3, 0.05) > patients_needed(parameters, 0.3) > n


def test_enough_patients_are_clear() -> None:
    assert run_one("events_per_predictor", make_subject(clean_cohort())).status == "clear"
