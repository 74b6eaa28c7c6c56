"""What a run says of its data follows its configuration and cohort."""

from __future__ import annotations

import dataclasses

from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.tables.dictionary import Column, DataDictionary
from fusion.config import RunConfig
from fusion.evidence.about import Years
from fusion.evidence.analysis import analysis_facts

SOURCES = [{"kind": "synthetic", "patients": 60}]


def config(**sections: object) -> RunConfig:
    cohort = {"outcome": "synthetic_metastasis", "sources": SOURCES}
    return validate(RunConfig, {"name": "made", "cohort": cohort, **sections}, "made")


def test_sources_sites_and_who_is_studied(cohort: Cohort) -> None:
    facts = analysis_facts(config(), cohort)
    assert facts.sources == ("synthetic",)
    assert facts.sites == 1
    assert facts.eligibility == ("known synthetic_metastasis",)
    unknown = dataclasses.replace(cohort, patients=cohort.patients.assign(site="unknown"))
    assert analysis_facts(config(), unknown).sites == 0
    strict = {"outcome": "synthetic_metastasis", "sources": SOURCES, "require_images": True}
    facts = analysis_facts(config(cohort=strict), cohort)
    assert facts.eligibility[-1] == "at least one image that can be embedded"


def test_the_split_and_what_was_not_read(cohort: Cohort) -> None:
    facts = analysis_facts(
        config(folds={"n_folds": 4, "repeats": 3}),
        dataclasses.replace(cohort, unmapped=("a.csv: x", "a.csv: y")),
    )
    assert (facts.n_folds, facts.repeats, facts.unread) == (4, 3, 2)


def test_years_are_those_of_columns_that_hold_years(cohort: Cohort) -> None:
    column = Column("diagnosed", "numeric", "administrative", "Year of diagnosis", "year")
    years = [1990.0, 2013.0] * (cohort.n_patients // 2 - 1)
    years += [float("nan")] * (cohort.n_patients - len(years))
    dated = dataclasses.replace(
        cohort,
        dictionary=DataDictionary([*cohort.dictionary, column]),
        patients=cohort.patients.assign(diagnosed=years),
    )
    known = cohort.n_patients // 2 * 2 - 2
    assert analysis_facts(config(), dated).years == (Years("Year of diagnosis", 1990, 2013, known),)
    assert analysis_facts(config(), cohort).years == ()


def test_embeddings_are_modalities_where_there_are_images(cohort: Cohort) -> None:
    names = [m.name for m in analysis_facts(config(), cohort).modalities]
    assert names == ["resnet18", "efficientnet_b0", "clinical", "expression"]
    bare = dataclasses.replace(cohort, images=cohort.images.iloc[:0])
    assert [m.name for m in analysis_facts(config(), bare).modalities] == names[2:]
