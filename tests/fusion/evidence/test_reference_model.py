"""The clinical reference says what it learned, and what points the wrong way is found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.evidence.findings import contradictions
from fusion.evidence.reference_model import by_auroc, directions, reference_model
from fusion.models.registry import make_model
from tests.fusion.conftest import cohort_of, feature_table


def groups(cohort: Cohort) -> dict[str, str]:
    return {p: p for p in cohort.patients["patient_id"]}


def inverted(cohort: Cohort) -> Cohort:
    """Thin tumours have the outcome: thickness is reversed."""
    thickness = cohort.patients["breslow"]
    return dataclasses.replace(cohort, patients=cohort.patients.assign(breslow=1 / thickness))


def typed(cohort: Cohort) -> Cohort:
    """Thickness points the wrong way in metastatic specimens only."""
    metastatic = np.arange(cohort.n_patients) % 2 == 0
    thickness = cohort.patients["breslow"]
    column = Column("specimen_type", "nominal", "specimen", "Specimen", leaks=True)
    return dataclasses.replace(
        cohort,
        dictionary=DataDictionary([*cohort.dictionary, column]),
        patients=cohort.patients.assign(
            breslow=thickness.where(~metastatic, 1 / thickness),
            specimen_type=np.where(metastatic, "metastatic", "primary"),
        ),
    )


def test_directions_are_those_of_the_columns(large: Cohort) -> None:
    found = {d.factor: d for d in directions(large, groups(large), 300, 0, by_auroc(large))}
    assert set(found) == {"Breslow thickness", "ulceration", "stage", "age"}
    known = large.patients.dropna(subset=["breslow"])
    expected = roc_auc_score(known["outcome"], known["breslow"])
    thickness = found["Breslow thickness"]
    assert thickness.discrimination.value == pytest.approx(expected)
    assert (thickness.n, thickness.events) == (len(known), known["outcome"].sum())
    levels = large.patients["stage"].map({"I": 0, "II": 1, "III": 2})
    expected = roc_auc_score(large.patients["outcome"], levels)
    assert found["stage"].discrimination.value == pytest.approx(expected)
    assert not any(d.contradicts for d in found.values())


def test_what_points_the_wrong_way_is_a_warning(large: Cohort) -> None:
    wrong = inverted(large)
    clinical = reference_model(
        wrong,
        [fit({"breslow": -0.7, "age": 0.2}), fit({"breslow": -0.6, "age": -0.1})],
        groups(wrong),
        300,
        0,
        by_auroc(wrong),
    )
    assert clinical is not None
    by_name = {c.name: c for c in clinical.coefficients}
    assert by_name["breslow"].ratio == pytest.approx(np.exp(-0.65))
    assert (by_name["age"].least, by_name["age"].most) == pytest.approx(np.exp([-0.1, 0.2]))
    (finding,) = contradictions(clinical)
    assert finding.level == "warning"
    assert "Breslow thickness is known to raise the risk and goes the other way" in finding.text
    assert "odds ratio is 0.52 per standard deviation (0.50 to 0.55 over 2 fits)" in finding.text


def fit(coefficients: dict[str, float]) -> dict[str, object]:
    listed = [{"feature": name, "per_sd": value} for name, value in coefficients.items()]
    choices = {"basis": "Breslow thickness + age", "coefficients": listed}
    return {"model": "clinical_reference", "choices": choices}


def test_within_a_type_of_specimen_too(large: Cohort) -> None:
    found = directions(typed(large), groups(large), 300, 0, by_auroc(large))
    wrong = [d for d in found if d.contradicts]
    assert [(d.factor, d.among) for d in wrong] == [("Breslow thickness", "metastatic")]
    assert {d.among for d in found} == {"", "metastatic", "primary"}


@pytest.mark.parametrize(
    ("outcome", "asked"),
    [
        ("melanoma", {"age"}),
        ("node_positive", {"Breslow thickness", "ulceration", "stage"}),
        ("distant_metastasis", {"Breslow thickness", "ulceration", "stage", "age"}),
    ],
)
def test_only_what_is_known_of_an_outcome_is_asked(
    large: Cohort, outcome: str, asked: set[str]
) -> None:
    other = dataclasses.replace(large, outcome=OUTCOMES[outcome])
    assert {d.factor for d in directions(other, groups(large), 50, 0, by_auroc(other))} == asked


def test_t_n_and_m_are_no_stage(large: Cohort) -> None:
    column = Column("t_stage", "ordinal", "staging", "AJCC T", levels=("T1", "T2"))
    first = DataDictionary([column, *large.dictionary])
    other = dataclasses.replace(
        large, dictionary=first, patients=large.patients.assign(t_stage="T1")
    )
    assert {
        d.column
        for d in directions(other, groups(large), 50, 0, by_auroc(other))
        if d.factor == "stage"
    } == {"stage"}


def test_noise_is_seldom_said_to_contradict() -> None:
    """Of 40 cohorts without any signal at most 3 may be blamed; at 2.5 % one is expected."""
    cohort = cohort_of(feature_table(150))
    blamed = 0
    for seed in range(40):
        outcome = np.random.default_rng(seed).permutation(cohort.patients["outcome"])
        shuffled = dataclasses.replace(cohort, patients=cohort.patients.assign(outcome=outcome))
        found = directions(shuffled, groups(cohort), 300, 0, by_auroc(shuffled))
        blamed += any(d.contradicts for d in found)
    assert blamed <= 3


def test_coefficients_are_those_of_the_fitted_reference() -> None:
    """The scores of the model are its coefficients times standardised inputs, and an intercept."""
    table = feature_table(120)
    arm = Arm("c", "clinical_reference", (Modality("clinical", groups=("histopathology",)),))
    model = make_model(arm, AblationConfig()).fit(table, 0)
    coefficients = {c["feature"]: c["per_sd"] for c in model.choices_["coefficients"]}
    assert set(coefficients) == {"breslow", "breslow_missing", "ulceration", "age_at_diagnosis"}
    x = model._model.encoder_.transform(table)
    p = model.predict_proba(table)
    logits = np.log(p / (1 - p)) - x @ np.array(list(coefficients.values()))
    np.testing.assert_allclose(logits, logits[0], atol=1e-8)


def test_without_a_reference_there_is_nothing_to_say(large: Cohort) -> None:
    assert reference_model(large, [], groups(large), 50, 0, by_auroc(large)) is None
    assert list(contradictions(None)) == []
