"""What a run says of its own analysis follows its configuration and cohort."""

from __future__ import annotations

import dataclasses

import pytest

from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from fusion.config import RunConfig
from fusion.evidence.analysis import MOST_NAMES, analysis_facts

SOURCES = [{"kind": "synthetic", "patients": 60}]


def config(**sections: object) -> RunConfig:
    cohort = {"outcome": "synthetic_metastasis", "sources": SOURCES}
    return validate(RunConfig, {"name": "made", "cohort": cohort, **sections}, "made")


def test_sources_sites_and_who_is_studied(cohort: Cohort) -> None:
    facts = analysis_facts(config(), cohort)
    assert facts.sources == "synthetic"
    assert facts.sites == 1
    assert facts.eligibility == "known synthetic_metastasis"
    unknown = dataclasses.replace(cohort, patients=cohort.patients.assign(site="unknown"))
    assert analysis_facts(config(), unknown).sites == 0
    strict = {"outcome": "synthetic_metastasis", "sources": SOURCES, "require_images": True}
    assert "at least one image" in analysis_facts(config(cohort=strict), cohort).eligibility


def test_predictors_are_named_by_group_and_withheld_ones_apart(cohort: Cohort) -> None:
    facts = analysis_facts(config(), cohort)
    assert facts.predictors.startswith("image embeddings (")
    assert "histopathology (2: breslow, ulceration)" in facts.predictors
    assert facts.withheld == ""
    hidden = dataclasses.replace(cohort, dictionary=cohort.dictionary.flagged(["breslow"]))
    facts = analysis_facts(config(), hidden)
    assert facts.withheld == "breslow"
    assert "breslow" not in facts.predictors


def test_long_groups_are_counted_not_listed(cohort: Cohort) -> None:
    first = next(iter(cohort.dictionary))
    columns = [dataclasses.replace(first, name=f"c{k}", measured="specimen") for k in range(20)]
    wide = dataclasses.replace(
        cohort,
        dictionary=type(cohort.dictionary)(columns),
        patients=cohort.patients.assign(**{c.name: 1.0 for c in columns}),
    )
    facts = analysis_facts(config(), wide)
    assert f"and {20 - MOST_NAMES} more" in facts.predictors
    assert facts.measured == "20 at specimen"


@pytest.mark.parametrize(
    ("sections", "field", "said"),
    [
        ({"folds": {"n_folds": 4, "repeats": 3}}, "split", "4 outer folds"),
        ({"folds": {"n_folds": 4, "repeats": 3}}, "split", "repeated 3 times"),
        ({}, "building", "Fusion heads are averages of 3"),
        ({"ablation": {"head": {"ensemble": 1}}}, "building", "Fusion heads stop early"),
        ({"ablation": {"tuning": {"trials": 7}}}, "building", "7 trials by Optuna"),
        ({}, "imbalance", "None: models see the classes as they are."),
        ({"ablation": {"head": {"weighted_sampling": True}}}, "imbalance", "harms calibration"),
    ],
)
def test_the_configuration_decides_the_words(
    cohort: Cohort, sections: dict[str, object], field: str, said: str
) -> None:
    assert said in getattr(analysis_facts(config(**sections), cohort), field)


def test_models_that_are_not_fitted_are_not_described(cohort: Cohort) -> None:
    alone = {"models": ["logistic_regression"], "arms": []}
    assert "heads" not in analysis_facts(config(ablation=alone), cohort).building
