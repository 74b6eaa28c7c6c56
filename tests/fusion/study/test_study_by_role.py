"""Two photographs of a case by role, from `init` to a bundle that scores new cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collections_example import derm7pt, milk10k
from roles_example import LACKING, hospital, study_of

from featurestore.errors import ConfigError
from fusion.features.table import FeatureTable
from fusion.study.study import Study

pytestmark = pytest.mark.slow

ROLES = {"derm": "dermoscopic", "clinic": "close-up"}


@pytest.fixture(scope="module")
def study(by_role: Study) -> Study:
    return by_role


@pytest.fixture(scope="module")
def predictions(study: Study) -> pd.DataFrame:
    return study.ablate()


@pytest.fixture(scope="module")
def table(study: Study) -> FeatureTable:
    return study.features(0, 0)


def test_each_role_is_a_modality_and_a_case_that_lacks_one_is_scored(
    study: Study, predictions: pd.DataFrame
) -> None:
    singles = [f"{model}[{name}]" for name in ROLES for model in ("fusion_head", "lightgbm")]
    further = ["logistic_regression[all]", "rank_average[all]", "stacked[all]"]
    everyone = set(study.cohort.patients["patient_id"])
    assert LACKING in everyone
    for arm in (*singles, "fusion_head[all]", "lightgbm[all]", *further):
        own = predictions[predictions["arm"] == arm]
        assert set(own["patient_id"]) == everyone, arm
        assert np.isfinite(own["probability"]).all(), arm


def assert_means(study: Study, table: FeatureTable) -> set[tuple[str, str]]:
    """Features by role are means over images, from the store by digest and a group-by.

    Returns:
        Who lacks which role.
    """
    images = study.cohort.images
    identity = study.encoders(0, 0)["resnet18"]
    rows = pd.DataFrame(study.store.read(identity, list(images["sha256"])).astype(float))
    keys = [images["patient_id"].to_numpy(), images["image_role"].to_numpy()]
    means = rows.groupby(keys).mean()
    lacking = set()
    for role in ROLES.values():
        name = f"resnet18@{role}"
        for patient in study.cohort.patients["patient_id"]:
            found = table.embeddings[name][table.patient_ids == patient]
            if (patient, role) in means.index:
                expected = np.tile(means.loc[(patient, role)], (len(found), 1))
                np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)
            else:
                assert np.isnan(found).all()
                lacking.add((patient, role))
    return lacking


def test_features_of_a_role_are_an_independent_mean(study: Study, table: FeatureTable) -> None:
    assert study.cohort.unit == "lesion"
    assert assert_means(study, table) == {(LACKING, "close-up")}


@pytest.mark.parametrize(
    ("tree", "unit", "observed"),
    [(derm7pt, "patient", 40), (milk10k, "lesion", 40), (hospital, "patient", 20)],
)
def test_means_are_of_what_is_observed(
    tree: Callable[[Path], object], unit: str, observed: int, tmp_path: Path
) -> None:
    """Of a patient over the images of all lesions; also of a plain table with a column of roles."""
    study = study_of(tree, tmp_path, [f"cohort.unit={unit}"])
    table = study.features(0, 0)
    assert study.cohort.unit == unit
    assert study.cohort.n_patients == observed
    assert {m.name for arm in study.arms for m in arm.modalities} >= set(ROLES)
    assert len(assert_means(study, table)) == (tree is derm7pt)


def test_an_image_is_embedded_once(study: Study, table: FeatureTable) -> None:
    identity = study.encoders(0, 0)["resnet18"]
    assert len(study.store.present(identity)) == len(study.cohort.images) == 79


def test_a_changed_role_fits_the_arms_anew(study: Study, predictions: pd.DataFrame) -> None:
    before = study._data_digest
    images = study.cohort.images
    kept = images["image_role"].copy()
    try:
        images.loc[0, "image_role"] = "close-up"
        assert study._data_digest != before
    finally:
        images["image_role"] = kept
    assert study._data_digest == before


def test_a_matrix_has_the_same_features_by_role(study: Study, table: FeatureTable) -> None:
    matrix = study.matrix(["derm"])
    assert all(name.startswith("resnet18@dermoscopic_") for name in matrix.names)
    first = np.flatnonzero(table.patient_ids == matrix.ids[0])[0]
    np.testing.assert_allclose(
        matrix.X[0], table.embeddings["resnet18@dermoscopic"][first], rtol=1e-6
    )


def test_exports_have_each_image_once_under_its_role(
    study: Study, predictions: pd.DataFrame, table: FeatureTable
) -> None:
    exported = study.export(predictions)
    tables = {path.name: path for path in exported.paths}
    assert "embeddings_resnet18.csv" not in tables
    images = study.cohort.images.set_index("image_id")
    seen: list[str] = []
    for role in ROLES.values():
        word = role.replace("-", "_")
        frame = pd.read_csv(tables[f"embeddings_resnet18_{word}.csv"], dtype={"image_id": str})
        assert set(images.loc[frame["image_id"], "image_role"]) == {role}
        seen += list(frame["image_id"])
        value = f"resnet18_{word}_e001"
        mean = frame.groupby("patient_id")[value].mean()
        first = pd.Series(table.embeddings[f"resnet18@{role}"][:, 0], index=table.patient_ids)
        own = first[~first.index.duplicated()].loc[mean.index]
        np.testing.assert_allclose(mean, own, rtol=1e-6)
    assert sorted(seen) == sorted(images.index)


def test_overlays_are_of_the_image_of_each_role(study: Study, predictions: pd.DataFrame) -> None:
    drawn = study.overlays(predictions)
    by_patient: dict[tuple[str, int], set[str]] = {}
    for overlay in drawn:
        assert overlay.png or overlay.reason == "no close-up image"
        by_patient.setdefault((overlay.kind, overlay.rank), set()).add(overlay.encoder)
    names = {f"resnet18@{role}" for role in ROLES.values()}
    assert list(by_patient.values()) == [names] * 3


def test_the_report_says_what_ran(study: Study, predictions: pd.DataFrame) -> None:
    evidence = study.evidence(predictions)
    assert evidence.used.embeddings == ("resnet18@close-up", "resnet18@dermoscopic")
    assert evidence.used.without_role == {"close-up": 1, "dermoscopic": 0}
    assert not evidence.used.several_images
    has = evidence.availability.set_index("has")["n"]
    assert has.filter(like="close-up images").sum() == 39
    assert has.filter(like="dermoscopic images").sum() == 40
    report = study.report(evidence)
    text = Path(report.markdown).read_text(encoding="utf-8")
    for words in (
        "resnet18 of close-up images",
        "fusion_head[clinic]",
        "lightgbm[derm]",
        "1 lesion has no close-up image",
        "Images by role: 39 close-up, 40 dermoscopic",
    ):
        assert words in text or words.replace("_", "\\_") in text, words


def test_the_audit_takes_no_role_for_a_leak(study: Study) -> None:
    hits = [hit for result in study.audit().results for hit in result.hits]
    assert not [hit.text for hit in hits if "image_role" in hit.text or "images" in hit.subjects]


def test_a_joint_network_by_role_is_refused_in_one_line(study: Study) -> None:
    joint = Study.open(
        study.paths.config,
        study.paths.root,
        study.data_root,
        ["ablation.arms=[{model: joint, modalities: [derm]}]"],
    )
    with pytest.raises(ConfigError, match="modality 'derm' is of images of one role") as raised:
        _ = joint.arms
    assert "\n" not in str(raised.value)
