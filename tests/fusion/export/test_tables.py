"""The tables of an export, on a study that was never on disk."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.export.labelling import labelled
from featurestore.outcomes import OUTCOMES
from featurestore.tables.gaps import CODES
from fusion import metrics
from fusion.arms import ABLATION
from fusion.config import TableName
from fusion.evaluation.predictions import predictions_table
from fusion.export.arm_columns import arm_names
from fusion.export.embeddings import DESCRIPTIVE, ONE_FOLD, EmbeddingForm
from fusion.export.tables import (
    TABLES,
    Material,
    export_tables,
    known_numbers,
    survival_columns,
)
from fusion.features.reduction import PrincipalComponents
from fusion.features.table import FeatureTable

Maker = Callable[..., Material]


def predictions_of(table: FeatureTable, folds: Folds) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    outcome = dict(zip(table.patient_ids, table.y, strict=True))
    tested = folds.table[folds.table["role"] == "test"]
    parts = []
    for arm in ("model[all]", "model[net_a]"):
        y = tested["patient_id"].map(outcome).astype(int)
        score = y + rng.normal(size=len(tested))
        parts.append(
            tested[["repeat", "fold", "patient_id"]].assign(
                run="r",
                arm=arm,
                model="model",
                modalities=arm[6:-1],
                design=ABLATION,
                y=y,
                score=score,
                probability=1 / (1 + np.exp(-score)),
                threshold=0.5,
            )
        )
    return predictions_table(parts, "binary")


def fold_rows(table: FeatureTable, repeats: int = 1) -> Folds:
    patients = sorted(set(table.patient_ids))
    rows = [
        (repeat, fold, patient, "test" if (place + repeat) % 2 == fold else "train")
        for repeat in range(repeats)
        for fold in range(2)
        for place, patient in enumerate(patients)
    ]
    return Folds(pd.DataFrame(rows, columns=["repeat", "fold", "patient_id", "role"]))


@pytest.fixture(scope="module")
def material(make_cohort: Callable[[FeatureTable], Cohort]) -> Callable[..., Material]:
    """Builds what tables are made of."""
    return functools.partial(_material, make_cohort)


def _material(
    make_cohort: Callable[[FeatureTable], Cohort],
    table: FeatureTable,
    form: str = "pca:3",
    repeats: int = 1,
    **changes: object,
) -> Material:
    table = dataclasses.replace(
        table, embeddings={k: v for k, v in table.embeddings.items() if k == "net_a"}
    )
    folds = fold_rows(table, repeats)
    rows = ~np.isnan(table.embeddings["net_a"]).all(axis=1)
    cohort = make_cohort(table)
    named = set(table.row_ids[rows].astype(str))
    cohort = dataclasses.replace(
        cohort, images=cohort.images[cohort.images["image_id"].isin(named)], **changes
    )
    return Material(
        cohort,
        folds,
        lambda repeat, fold: table,
        predictions_of(table, folds),
        EmbeddingForm.parse(form),
    )


def test_the_configuration_knows_every_table() -> None:
    assert get_args(TableName) == tuple(TABLES)


def test_every_table_can_be_labelled(material: Maker, table: FeatureTable) -> None:
    for made in export_tables(material(table), TABLES):
        found, _ = labelled(made)
        assert found.label


def test_analysis_is_one_row_a_patient_with_all_that_is_asked(
    material: Maker, table: FeatureTable
) -> None:
    studied = material(table)
    (analysis,) = export_tables(studied, ["analysis"])
    frame = analysis.frame.set_index("patient_id")
    assert sorted(frame.index) == sorted(set(table.patient_ids))
    tested = studied.folds.table[studied.folds.table["role"] == "test"].set_index("patient_id")
    pd.testing.assert_series_equal(frame["fold"], tested["fold"].loc[frame.index])
    assert frame["n_images"].sum() == len(studied.cohort.images)
    for arm, rows in studied.predictions.groupby("arm"):
        by_id = rows.set_index("patient_id").loc[frame.index]
        np.testing.assert_array_equal(frame[f"p_{arm_names([arm])[arm]}"], by_id["probability"])
        np.testing.assert_array_equal(frame[f"lp_{arm_names([arm])[arm]}"], by_id["score"])


def test_components_beside_predictions_never_saw_their_patient(
    material: Maker, table: FeatureTable
) -> None:
    studied = material(table)
    (analysis,) = export_tables(studied, ["analysis"])
    frame = analysis.frame.set_index("patient_id")
    columns = [c for c in frame.columns if c.startswith("net_a_pc")]
    assert len(columns) == 3
    for fold in (0, 1):
        train = table.of_patients(studied.folds.training((0, fold))).embeddings["net_a"]
        fitted = PrincipalComponents(3).fit(train)
        for patient in studied.folds.test((0, fold))[:7]:
            scores = fitted.transform(table.of_patients([patient]).embeddings["net_a"])
            np.testing.assert_allclose(frame.loc[patient, columns], scores.mean(axis=0))
    assert all(ONE_FOLD in analysis.notes[c].note for c in columns)
    without = frame["n_images"].to_numpy() == 0
    assert without.any()
    assert (analysis.reasons["net_a_pc1"][without] == CODES["no_image"]).all()


def test_a_fit_on_all_patients_is_labelled_and_kept_from_the_predictions(
    material: Maker, table: FeatureTable
) -> None:
    analysis, described = export_tables(material(table, "pca-cohort:2"), ["analysis", "embeddings"])
    assert not any("pc" in str(c) or "descriptive" in str(c) for c in analysis.frame.columns)
    assert described.name == "descriptive_net_a"
    values = [c for c in described.frame.columns if c.startswith("net_a")]
    assert values == ["net_a_descriptive1", "net_a_descriptive2"]
    for column in values:
        assert described.notes[column].label.startswith("DESCRIPTION ONLY")
        assert described.notes[column].note == DESCRIPTIVE


def test_encoders_of_folds_are_not_mixed(material: Maker, table: FeatureTable) -> None:
    studied = dataclasses.replace(material(table, "raw"), tuned=("net_a",))
    (raw,) = export_tables(studied, ["embeddings"])
    assert raw.key == ("image_id", "repeat", "fold")
    assert len(raw.frame) == 2 * len(studied.cohort.images)
    described = dataclasses.replace(studied, form=EmbeddingForm.parse("pca-cohort:2"))
    assert export_tables(described, ["embeddings"]) == []


def test_raw_embeddings_are_one_row_an_image(material: Maker, table: FeatureTable) -> None:
    studied = material(table, "raw")
    (raw,) = export_tables(studied, ["embeddings"])
    rows = ~np.isnan(table.embeddings["net_a"]).all(axis=1)
    values = raw.frame.filter(like="net_a_e").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(values, table.embeddings["net_a"][rows])


@pytest.mark.parametrize("repeats", [1, 2])
def test_known_numbers_are_those_of_the_report(
    material: Maker, table: FeatureTable, repeats: int
) -> None:
    studied = material(table, repeats=repeats)
    (analysis,) = export_tables(studied, ["analysis"])
    areas = known_numbers(studied, "model[all]")
    assert len(areas) == repeats
    for area in areas:
        y = analysis.frame[area.outcome].to_numpy(dtype=float)
        assert metrics.auroc(y, analysis.frame[area.score].to_numpy())[0] == area.value


def test_several_repeats_have_columns_each(material: Maker, table: FeatureTable) -> None:
    (analysis,) = export_tables(material(table, repeats=2), ["analysis"])
    assert {"fold_r0", "fold_r1", "p_model_all_r0", "lp_model_all_r1"} <= set(analysis.frame)
    assert labelled(analysis)[0].rows == len(set(table.patient_ids))


def test_reasons_reach_the_table(material: Maker, table: FeatureTable) -> None:
    ids = sorted(set(table.patient_ids))
    missing = [i for i in ids if pd.isna(table.columns["sex"][table.patient_ids == i]).all()]
    gaps = pd.DataFrame(
        [(missing[0], "sex", "not_evaluated")], columns=["patient_id", "column", "reason"]
    )
    studied = material(table, gaps=gaps)
    analysis, listed = export_tables(studied, ["analysis", "missing_values"])
    place = analysis.frame["patient_id"].tolist().index(missing[0])
    assert analysis.reasons["sex"][place] == CODES["not_evaluated"]
    assert listed.frame.to_numpy().tolist() == [[missing[0], "sex", "not evaluated"]]
    genes = analysis.frame["GENE0"].isna().to_numpy()
    assert (analysis.reasons["GENE0"][genes] == CODES["no_record"]).all()


def test_a_study_without_predictions_has_tables(material: Maker, table: FeatureTable) -> None:
    studied = dataclasses.replace(
        material(table, "none"), predictions=predictions_table([], "binary")
    )
    for made in export_tables(studied, TABLES):
        labelled(made)
    assert known_numbers(studied, "model[all]") == ()


def test_watermark_stands_in_every_row(material: Maker, table: FeatureTable) -> None:
    for made in export_tables(material(table, synthetic=True), TABLES):
        assert set(made.frame["watermark"]) <= {"SYNTHETIC"}
        assert "SYNTHETIC" in made.label
        assert "watermark" in made.repeated


def test_patients_of_one_group_have_one_cluster(material: Maker, table: FeatureTable) -> None:
    studied = material(table)
    images = studied.cohort.images.copy()
    first, second = sorted(set(images["patient_id"]))[:2]
    copied = images["patient_id"].isin([first, second])
    images.loc[copied, "duplicate_cluster"] = "the same"
    studied = dataclasses.replace(
        studied, cohort=dataclasses.replace(studied.cohort, images=images)
    )
    (analysis,) = export_tables(studied, ["analysis"])
    cluster = analysis.frame.set_index("patient_id")["cluster"]
    assert cluster[first] == cluster[second] == first
    assert (cluster.drop([first, second]) == cluster.drop([first, second]).index).all()
    assert analysis.notes["cluster"].role == "patient"


def test_tables_of_lesions_name_lesion_and_patient_and_clusters_are_patients(
    material: Maker, table: FeatureTable
) -> None:
    studied = material(table)
    patients = studied.cohort.patients.sort_values("patient_id", ignore_index=True)
    owner = pd.Series([f"person {k // 2}" for k in range(len(patients))], dtype="str")
    cohort = dataclasses.replace(
        studied.cohort, patients=patients.assign(person_id=owner), unit="lesion"
    )
    made = export_tables(dataclasses.replace(studied, cohort=cohort), TABLES)
    for one in made:
        if "lesion_id" in one.frame:
            known = dict(zip(patients["patient_id"], owner, strict=True))
            assert (one.frame["patient_id"] == one.frame["lesion_id"].map(known)).all()
            assert (one.notes["lesion_id"].role, one.notes["patient_id"].role) == (
                "lesion",
                "patient",
            )
            assert "patient_id" not in one.key
        words = [one.label, *(f"{note.label} {note.note}" for note in one.notes.values())]
        assert not [text for text in words if "{" in text]
        labelled(one)
    analysis = made[0]
    assert analysis.label == "One row a lesion"
    assert (analysis.frame["cluster"] == analysis.frame["patient_id"]).all()
    assert analysis.frame["cluster"].nunique() == len(set(owner))
    assert {one.name for one in made if "lesion_id" in one.frame} >= {"folds", "predictions"}


def test_the_outcome_has_its_own_label(material: Maker, table: FeatureTable) -> None:
    studied = material(table)
    (analysis,) = export_tables(studied, ["analysis"])
    note = analysis.notes["outcome"]
    name = studied.cohort.outcome.name.replace("_", " ")
    assert note.label.casefold() == f"outcome: {name}".casefold()
    assert note.note == studied.cohort.outcome.definition


def test_who_lent_a_row_is_a_table_and_a_column(material: Maker, table: FeatureTable) -> None:
    ids = sorted(set(table.patient_ids))
    pairs = pd.DataFrame({"patient_id": ids, "donor_id": "D1", "outcome": 0.0})
    studied = material(table, linkage="label_matched", pairing=pairs)
    lent = studied.cohort.patients.assign(donor_id="D1")
    studied = dataclasses.replace(
        studied, cohort=dataclasses.replace(studied.cohort, patients=lent)
    )
    analysis, pairing = export_tables(studied, ["analysis", "pairing"])
    assert set(analysis.frame["donor_id"]) == {"D1"}
    assert pairing.notes["donor_id"].role == "patient"
    assert set(pairing.frame["watermark"]) == {"LABEL-MATCHED"}


def test_times_have_codes_days_and_risks(material: Maker, table: FeatureTable) -> None:
    studied = material(table)
    patients = studied.cohort.patients
    n = len(patients)
    times = patients.assign(
        outcome=np.arange(n) % 3 * 1.0, outcome_time=np.arange(n) + 10.0, outcome_entry=0.0
    )
    cohort = dataclasses.replace(
        studied.cohort, patients=times, outcome=OUTCOMES["synthetic_metastasis_free_survival"]
    )
    by_id = times.set_index("patient_id")
    rows = studied.predictions.drop(columns=["y", "probability", "threshold"])
    rows = rows.assign(
        event=rows["patient_id"].map(by_id["outcome"]).astype(int),
        time=rows["patient_id"].map(by_id["outcome_time"]),
        entry=0.0,
        risk_group=1,
        **{"risk_at_730.5": 0.2, "risk_at_1826.25": 0.4},
    )
    studied = dataclasses.replace(studied, cohort=cohort, predictions=rows)
    analysis, predictions = export_tables(studied, ["analysis", "predictions"])
    labels = labelled(analysis)[0]
    assert labels["outcome"].meanings == {0: "censored", 1: "event", 2: "competing event"}
    assert labels["outcome_time"].unit == "days"
    assert labels["risk1826_model_all"].label == "Risk within 5 years, model[all]"
    assert labelled(predictions)[0]["risk_at_730_5"].label == "Risk within 2 years"
    (known,) = known_numbers(studied, "model[all]")
    assert known.score in analysis.frame
    (found,) = survival_columns(studied)
    assert set(analysis.frame) >= {found.outcome, found.time, found.entry}
    frame = analysis.frame
    pairs = [
        (a, b)
        for a, e, t in zip(frame[known.score], frame["outcome"], frame["outcome_time"], strict=True)
        for b, u in zip(frame[known.score], frame["outcome_time"], strict=True)
        if e == 1 and u > t
    ]
    assert known.value == pytest.approx(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))
