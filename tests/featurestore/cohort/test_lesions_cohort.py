"""Cohorts of lesions: n counts lesions, patients are kept together, and nothing is mixed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from collections_example import ham10000, noise, pad_ufes_20, write

from featurestore.cohort import Cohort, make_folds, patient_groups
from featurestore.cohort.assemble import CohortConfig, build_cohort
from featurestore.cohort.describe import describe
from featurestore.cohort.table_one import table_one
from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext
from fusion.metrics import draw_weights

PAD: dict[str, Any] = {
    "kind": "collection",
    "name": "pad-ufes-20",
    "tables": ["metadata.csv"],
    "images": ["."],
}
HAM: dict[str, Any] = {"kind": "isic", "metadata": ["HAM10000_metadata"], "images": ["."]}
ISIC: dict[str, Any] = {"kind": "isic", "metadata": ["m.csv"], "images": ["img"]}


def config(*sources: dict[str, Any], **keys: Any) -> CohortConfig:
    record = {"sources": list(sources), "outcome": "malignant", "unit": "lesion", **keys}
    return validate(CohortConfig, record, "config")


def build(folder: Path, *sources: dict[str, Any], **keys: Any) -> Cohort:
    context = ReadContext(folder, folder / "scratch")
    return build_cohort(config(*sources, **keys), "made", context)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pad")
    pad_ufes_20(path)
    (path / "clinical.csv").write_text("id,stage\nPAT_1,2\nPAT_2,3\n")
    return path


@pytest.fixture(scope="module")
def pad(folder: Path) -> Cohort:
    clinical = {"kind": "table", "path": "clinical.csv", "id": "id"}
    columns = {"stage": {"source": "stage"}}
    return build(folder, PAD, clinical | {"columns": columns})


@pytest.fixture(scope="module")
def published(folder: Path) -> pd.DataFrame:
    """The collection's own table, read by pandas alone: the first image of each lesion."""
    rows = pd.read_csv(folder / "metadata.csv", dtype=str, keep_default_na=False)
    return rows.sort_values("img_id").drop_duplicates("lesion_id").set_index("lesion_id")


def test_n_is_lesions_and_columns_keep_their_own_values(
    pad: Cohort, published: pd.DataFrame
) -> None:
    patients = pad.patients.set_index("patient_id")
    assert set(patients.index) == set(published.index)
    own = published.loc[patients.index]
    cancer = own["diagnostic"].isin(["BCC", "MEL", "SCC"])
    assert (pad.n_patients, pad.n_events) == (45, int(cancer.sum()))
    assert (patients["outcome"] == cancer).all()
    assert (patients["person_id"] == own["patient_id"]).all()
    assert (patients["anatomical_site"] == own["region"].str.lower()).all()
    assert (patients["elevation"] == (own["elevation"] == "True")).all()
    assert (patients["age"] == own["age"].astype(float)).all()
    several = patients.groupby("person_id")["anatomical_site"].nunique()
    assert (several > 1).any()  # else a column of the patient would have done


def test_rows_of_patients_are_repeated_and_the_table_counts_patients_once(pad: Cohort) -> None:
    patients = pad.patients.set_index("patient_id")
    assert patients.loc[patients["person_id"] == "PAT_1", "stage"].tolist() == [2.0, 2.0]
    table = table_one(pad).set_index("variable")
    assert table.loc["lesions", "all"] == "45"
    assert table.loc["patients", "all"] == "30"
    assert table.loc["stage (of 30 patients)", "missing"] == "28 (93%)"
    once = patients.drop_duplicates("person_id")
    quartiles = once["age"].quantile([0.5, 0.25, 0.75])
    shown = "{:.3g} [{:.3g}, {:.3g}]".format(*quartiles)
    assert table.loc["Age (of 30 patients)", "all"] == shown
    both = patients.groupby("person_id")["outcome"].nunique() > 1
    assert both.any()
    of_each = [patients.loc[patients["outcome"] == y, "person_id"].nunique() for y in (0, 1)]
    assert table.loc["patients", ["no event", "event"]].astype(int).tolist() == of_each
    counts = describe(pad).counts
    assert (counts["lesions"], counts["patients"]) == (45, 30)
    assert counts["lesions of unknown patients"] == 0


def test_no_patient_crosses_a_fold_and_the_bootstrap_draws_patients(
    pad: Cohort, published: pd.DataFrame
) -> None:
    groups = patient_groups(pad.patients, pad.images)
    folds = make_folds(pad.patients, groups, n_folds=3, repeats=2, seed=5)
    person = published["patient_id"]
    for repeat in folds.repeats:
        tested = folds.tested(repeat)
        assert len(tested) == 45
        assert (tested.groupby(tested.index.map(person)).nunique() == 1).all()
    ids = sorted(groups)
    clusters = np.array([groups[i] for i in ids])
    weights = pd.DataFrame(draw_weights(clusters, 50, 0).T, index=[person[i] for i in ids])
    drawn = weights.groupby(level=0).agg(["min", "max"])
    low, high = drawn.xs("min", axis=1, level=1), drawn.xs("max", axis=1, level=1)
    assert (low == high).all(axis=None)
    assert len(low) == 30
    assert (low.sum() == 30).all()  # so many patients a draw, with replacement


def test_lesions_of_unknown_patients_are_groups_of_their_own(tmp_path: Path) -> None:
    ham10000(tmp_path)
    cohort = build(tmp_path, HAM, outcome="melanoma")
    assert (cohort.counted.n, cohort.counted.persons, cohort.counted.nameless) == (35, 0, 35)
    assert set(patient_groups(cohort.patients, cohort.images)) == set(
        patient_groups(cohort.patients, cohort.images).values()
    )
    assert any("The patient of none of 35 lesions is known" in note for note in cohort.notes)
    table = table_one(cohort)
    assert "patients" not in table["variable"].tolist()
    assert not table["variable"].str.contains("of 35 patients").any()


MIXED = (
    "isic_id,patient_id,lesion_id,diagnosis,age_approx\n"
    "I1,P1,L1,nevus,40\nI2,P1,L1,melanoma,40\nI3,P1,L2,nevus,40\nI4,P1,,nevus,40\n"
    "I5,,L3,melanoma,60\nI6,P2,L4,,50\nI7,P3,L5,nevus,50\n"
)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    for k in range(1, 8):
        write(tmp_path / "img" / f"I{k}.jpg", noise(k))
    (tmp_path / "m.csv").write_text(MIXED)
    return tmp_path


def test_images_that_disagree_and_lesions_that_go_are_accounted_for(mixed: Path) -> None:
    cohort = build(mixed, ISIC, outcome="melanoma")
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    assert outcome.to_dict() == {"L1": 1, "L2": 0, "I4": 0, "L3": 1, "L5": 0}
    rows = {(e, i): r for e, i, _, r in cohort.exclusions.itertuples(index=False, name=None)}
    assert "1 of 2 images of the lesion say so" in rows["value", "L1"]
    assert rows["lesion", "L4"] == "melanoma is unknown"
    assert rows["image", "I6"] == "lesion L4 left out: melanoma is unknown"
    assert any("Images of 1 lesion disagree" in note for note in cohort.notes)
    assert cohort.counted.text == ("5 lesions (4 lesions of 2 patients, 1 of unknown patients)")


def test_the_default_is_the_patient_as_ever(mixed: Path) -> None:
    cohort = build(mixed, ISIC, outcome="melanoma", unit="patient")
    assert cohort.patients["patient_id"].tolist() == ["L3", "P1", "P3"]
    assert cohort.dictionary["age"].level == ""
    assert "level" not in cohort.dictionary.to_records()[0]
    assert table_one(cohort)["variable"][0] == "patients"


def test_an_outcome_of_the_patient_is_said_to_be_shared(mixed: Path) -> None:
    (mixed / "c.csv").write_text("id,spread\nP1,1\nL3,0\nP2,0\n")
    table = {"kind": "table", "path": "c.csv", "id": "id", "labels": {"spread": "spread"}}
    outcome = {"name": "spread", "column": "spread"}
    cohort = build(mixed, ISIC, table, outcome=outcome)
    assert cohort.n_events == 3
    assert any("spread is known of the patient, not of the lesion" in n for n in cohort.notes)


def test_what_makes_no_sense_of_lesions_is_refused_in_a_line(mixed: Path) -> None:
    with pytest.raises(ConfigError, match="is a time to an event of a person"):
        config(ISIC, outcome="overall_survival")
    matched = {"linkage": "label_matched", "label_matched": {"outcome": "melanoma"}}
    with pytest.raises(ConfigError, match="lends rows to patients and knows no lesions"):
        config(ISIC, **matched)
    (mixed / "c.csv").write_text("id,mel\nP1,1\nP2,0\n")
    table = {"kind": "table", "path": "c.csv", "id": "id", "labels": {"mel": "mel"}}
    with pytest.raises(DataError, match="no source names lesions"):
        build(mixed, table, outcome={"name": "mel", "column": "mel"})
