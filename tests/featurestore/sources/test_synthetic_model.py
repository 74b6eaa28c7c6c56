from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from featurestore.sources.synthetic_model import (
    FACTORS,
    SIGNS,
    STAGES,
    Effects,
    PlantedPatients,
    draw_patients,
    oracle_facts,
)

FACTOR_COLUMNS = [f"{factor}_factor" for factor in FACTORS]


def draw(
    patients: int = 3000, genes: int = 60, seed: int = 0, **changes: object
) -> PlantedPatients:
    settings: dict[str, object] = {
        "prevalence": 0.3,
        "effects": Effects(),
        "missingness": True,
        **changes,
    }
    return draw_patients(patients, genes, seed=np.random.SeedSequence(seed), **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def people() -> PlantedPatients:
    return draw()


def test_same_seed_same_patients_and_other_seed_other_patients() -> None:
    first, again, other = draw(100), draw(100), draw(100, seed=1)
    for table in ("clinical", "signs", "expression", "missing", "truth"):
        pd.testing.assert_frame_equal(getattr(first, table), getattr(again, table))
    assert set(first.truth.index) != set(other.truth.index)


def test_all_tables_share_unique_patient_ids(people: PlantedPatients) -> None:
    assert people.clinical.index.is_unique
    assert people.clinical.index.str.fullmatch(r"IP_\d{7}").all()
    for table in (people.signs, people.expression, people.missing, people.truth):
        assert table.index.equals(people.clinical.index)


def test_oracle_equals_an_independent_auroc_and_beats_every_factor(people: PlantedPatients) -> None:
    facts = oracle_facts(people.truth)
    truth = people.truth
    assert facts["oracle_auroc"] == pytest.approx(
        roc_auc_score(truth["metastasis"], truth["probability"]), abs=1e-12
    )
    for factor in FACTORS:
        alone = facts[f"oracle_auroc_{factor}"]
        assert alone == pytest.approx(
            roc_auc_score(truth["metastasis"], truth[f"{factor}_factor"]), abs=1e-12
        )
        assert 0.66 < alone < 0.80
        assert alone < facts["oracle_auroc"] - 0.08
    assert 0.88 < facts["oracle_auroc"] < 0.94


def test_no_model_of_the_true_factors_beats_the_oracle(people: PlantedPatients) -> None:
    factors, outcome = people.truth[FACTOR_COLUMNS], people.truth["metastasis"]
    fitted = LogisticRegression(C=1e6).fit(factors, outcome)
    reached = roc_auc_score(outcome, fitted.decision_function(factors))
    assert reached == pytest.approx(oracle_facts(people.truth)["oracle_auroc"], abs=0.005)
    np.testing.assert_allclose(fitted.coef_[0], [1.7, 1.6, 1.5], rtol=0.15)


def test_tied_scores_count_one_half() -> None:
    truth = pd.DataFrame({"metastasis": [0, 1, 1, 0], "probability": [0.5, 0.5, 0.9, 0.1]})
    truth[FACTOR_COLUMNS] = 0.0
    facts = oracle_facts(truth)
    assert facts["oracle_auroc"] == pytest.approx(3.5 / 4)
    assert facts["oracle_auroc_image"] == 0.5


def test_oracle_without_both_classes_is_unknown() -> None:
    truth = pd.DataFrame({"metastasis": [0, 0], "probability": [0.1, 0.2]})
    truth[FACTOR_COLUMNS] = 0.0
    assert np.isnan(oracle_facts(truth)["oracle_auroc"])


def test_without_effects_nothing_predicts() -> None:
    nothing = draw(effects=Effects(image=0, clinical=0, expression=0))
    assert nothing.truth["probability"].to_numpy() == pytest.approx(0.3)
    assert oracle_facts(nothing.truth)["oracle_auroc"] == 0.5


@pytest.mark.parametrize("prevalence", [0.1, 0.3, 0.6])
def test_prevalence_is_met(prevalence: float) -> None:
    truth = draw(prevalence=prevalence).truth
    assert truth["probability"].mean() == pytest.approx(prevalence, abs=1e-6)
    assert truth["metastasis"].mean() == pytest.approx(prevalence, abs=0.03)


def test_clinical_values_are_plausible(people: PlantedPatients) -> None:
    clinical = people.clinical
    assert 1.8 <= clinical["breslow"].median() <= 2.2
    assert clinical["breslow"].between(0.2, 40).all()
    assert clinical["age"].between(18, 90).all()
    assert set(clinical["stage"]) == set(STAGES)
    assert 0.4 < clinical["braf"].mean() < 0.6
    assert ((clinical["braf"] == 1) & (clinical["nras"] == 1)).mean() < 0.05


def test_stage_follows_thickness_and_ulceration_where_nodes_are_negative(
    people: PlantedPatients,
) -> None:
    clinical = people.clinical
    negative = clinical[clinical["stage"].isin(STAGES[:5])]
    thin = negative[(negative["breslow"] < 0.8) & (negative["ulceration"] == 0)]
    thick = negative[(negative["breslow"] > 4) & (negative["ulceration"] == 1)]
    assert set(thin["stage"]) == {"Stage IA"}
    assert set(thick["stage"]) == {"Stage IIC"}
    assert 0.15 < 1 - len(negative) / len(clinical) < 0.4


def test_signs_lie_between_absent_and_marked(people: PlantedPatients) -> None:
    signs = people.signs[[*SIGNS, "skin"]]
    assert signs.min().min() >= 0
    assert signs.max().max() <= 1
    assert 0.4 < (signs["blue_white_veil"] == 0).mean() < 0.6


def test_outcome_is_not_determined_by_any_recorded_column(people: PlantedPatients) -> None:
    numeric = people.clinical.assign(
        stage=people.clinical["stage"].map(STAGES.index)
    ).select_dtypes("number")
    for name in numeric:
        auroc = roc_auc_score(people.truth["metastasis"], numeric[name])
        assert max(auroc, 1 - auroc) < 0.75, name


@pytest.mark.parametrize("name", ["braf", "nras", "tmb", "skin"])
def test_columns_outside_the_model_carry_no_signal(people: PlantedPatients, name: str) -> None:
    values = people.clinical.join(people.signs)[name]
    assert roc_auc_score(people.truth["metastasis"], values) == pytest.approx(0.5, abs=0.035)


def test_missingness_is_as_in_registries_and_says_nothing_about_the_outcome(
    people: PlantedPatients,
) -> None:
    share = people.missing.mean()
    for name, expected in {"breslow": 0.15, "ulceration": 0.12, "mitoses": 0.3}.items():
        assert share[name] == pytest.approx(expected, abs=0.03)
    assert share["expression"] == pytest.approx(0.1, abs=0.03)
    for name in people.missing:
        auroc = roc_auc_score(people.truth["metastasis"], people.missing[name])
        assert auroc == pytest.approx(0.5, abs=0.03), name
    by_site = people.missing.groupby(people.clinical["site"])["mitoses"].mean()
    assert by_site.max() > 2 * by_site.min()


def test_missingness_can_be_switched_off() -> None:
    assert not draw(200, missingness=False).missing.any(axis=None)


@pytest.mark.parametrize("genes", [24, 100, 250])
def test_expression_has_the_asked_genes_and_its_programmes_covary(genes: int) -> None:
    expression = np.log2(draw(400, genes).expression + 1)
    assert expression.shape == (400, genes)
    assert expression.columns.is_unique
    correlation = expression.corr()
    assert correlation.loc["SYNIMM01", "SYNIMM02"] > 0.2
    assert abs(correlation.loc["SYNIMM01", "SYNPRO01"]) < 0.2


def test_expression_counts_are_finite_and_not_negative(people: PlantedPatients) -> None:
    assert np.isfinite(people.expression.to_numpy()).all()
    assert (people.expression.to_numpy() >= 0).all()
