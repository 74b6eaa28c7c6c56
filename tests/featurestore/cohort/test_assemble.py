"""A cohort joins its sources by id, and accounts for everything that it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from locations import SHARED
from PIL import Image

from featurestore.cohort.assemble import CohortConfig, build_cohort, drop_images
from featurestore.cohort.groups import patient_groups
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext
from featurestore.tables.exclusions import OUTCOME_STAGE

IMAGES = "image_id,melanoma\nI1,0\nI2,1\nI3,0\nI4,1\nI5,\n"
ISIC: dict[str, Any] = {"kind": "isic", "metadata": ["m.csv"], "images": ["img"]}
LESIONS = (
    "isic_id,patient_id,diagnosis,age_approx\n"
    "I1,P1,nevus,40\nI2,P1,melanoma,40\nI3,P2,nevus,50\nI4,P3,melanoma,60\nI5,P4,nevus,70\n"
)
CLINICAL = "id,breslow,site\nP1,1.5,A\nP2,0.4,\nP3,,B\nP9,2.0,B\n"
TABLE: dict[str, Any] = {
    "kind": "table",
    "path": "c.csv",
    "id": "id",
    "site": "site",
    "columns": {"breslow": {"source": "breslow", "unit": "mm"}},
}


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((48, 36), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for k in range(1, 6):
        noise(k).save(tmp_path / "img" / f"I{k}.jpg")
    (tmp_path / "m.csv").write_text(LESIONS)
    (tmp_path / "c.csv").write_text(CLINICAL)
    return tmp_path


def build(folder: Path, *sources: dict[str, Any], **keys: Any) -> Cohort:
    record = {"sources": list(sources), "outcome": "melanoma", **keys}
    config = validate(CohortConfig, record, "config")
    return build_cohort(config, "test", ReadContext(folder, folder / "scratch"))


def reasons(cohort: Cohort) -> dict[tuple[str, str], str]:
    return {(e, i): r for e, i, _, r in cohort.exclusions.to_numpy().tolist()}


def test_sources_are_joined_by_patient_id(data: Path) -> None:
    cohort = build(data, ISIC, TABLE)
    patients = cohort.patients.set_index("patient_id")
    assert patients["outcome"].to_dict() == {"P1": 1, "P2": 0, "P3": 1, "P4": 0}
    assert patients["site"].to_dict() == {"P1": "A", "P2": "unknown", "P3": "B", "P4": "unknown"}
    np.testing.assert_array_equal(patients["breslow"], [1.5, 0.4, np.nan, np.nan])
    np.testing.assert_array_equal(patients["age"], [40, 50, 60, 70])
    assert cohort.dictionary.names == ["age", "breslow"]
    assert (cohort.images["width"] == 48).all()
    assert cohort.images["duplicate_cluster"].nunique() == 5
    assert reasons(cohort) == {("patient", "P9"): "no image, and melanoma is unknown"}


def test_row_order_does_not_change_the_digest(data: Path) -> None:
    digest = build(data, ISIC, TABLE).digest()
    for name, text in (("m.csv", LESIONS), ("c.csv", CLINICAL)):
        header, *rows = text.splitlines()
        (data / name).write_text("\n".join([header, *rows[::-1]]))
    again = build(data, ISIC, TABLE)
    assert again.digest() == digest
    assert again.patients["patient_id"].tolist() == ["P1", "P2", "P3", "P4"]


def test_images_can_be_required(data: Path) -> None:
    outcome = {"name": "thick", "column": "t", "positive": [1], "negative": [0]}
    (data / "c.csv").write_text("id,breslow,site,t\nP1,1.5,A,1\nP2,0.4,,0\nP8,1,,1\nP9,2.0,B,\n")
    table = TABLE | {"labels": {"t": "t"}}
    cohort = build(data, ISIC, table, outcome=outcome)
    assert cohort.patients["patient_id"].tolist() == ["P1", "P2", "P8"]
    strict = build(data, ISIC, table, outcome=outcome, require_images=True)
    assert strict.patients["patient_id"].tolist() == ["P1", "P2"]
    assert reasons(strict)["patient", "P8"] == "no image"
    assert reasons(strict)["patient", "P4"] == "thick is unknown"
    assert reasons(strict)["image", "I5"] == "patient P4 left out: thick is unknown"
    assert "t" not in strict.patients.columns
    at = strict.exclusions.set_index(["entity", "id"])["stage"]
    assert at["patient", "P8"] == "images"
    assert at["patient", "P4"] == at["image", "I5"] == OUTCOME_STAGE


def test_what_a_source_says_of_an_unknown_outcome_is_the_reason(data: Path) -> None:
    outcome = {"name": "o", "column": "t", "among": "breslow < 5"}
    (data / "c.csv").write_text(
        "id,breslow,site,t\nP1,1,A,1\nP2,2,,0\nP3,1,B,[Not Evaluated]\nP4,1,,\nP5,9,,[Unknown]\n"
    )
    column = {"source": "t", "kind": "binary", "group": "follow_up"}
    table = TABLE | {"columns": TABLE["columns"] | {"t": column}}
    cohort = build(data, table, outcome=outcome)
    assert reasons(cohort) == {
        ("patient", "P3"): "o is unknown (not evaluated)",
        ("patient", "P4"): "o is unknown",
        ("patient", "P5"): "not among: breslow < 5",
    }
    at = cohort.exclusions.set_index("id")["stage"]
    assert at.to_dict() == {"P3": OUTCOME_STAGE, "P4": OUTCOME_STAGE, "P5": "eligibility"}


def test_columns_that_reveal_the_outcome_are_flagged(data: Path) -> None:
    outcome = {"name": "o", "column": "melanoma", "deny": ["bres*"]}
    cohort = build(data, ISIC, TABLE, outcome=outcome)
    assert [c.name for c in cohort.dictionary.features()] == ["age"]


def test_byte_identical_images_count_once_a_patient(data: Path) -> None:
    copy = (data / "img" / "I1.jpg").read_bytes()
    for name in ("I2", "I3"):
        (data / "img" / f"{name}.jpg").write_bytes(copy)
    cohort = build(data, ISIC)
    assert cohort.images["image_id"].tolist() == ["I1", "I3", "I4", "I5"]
    assert reasons(cohort)["image", "I2"] == "same bytes as image I1"
    groups = patient_groups(cohort.patients, cohort.images)
    assert groups == {"P1": "P1", "P2": "P1", "P3": "P3", "P4": "P4"}
    assert any("1 of them cross patients (I1 = I3)" in note for note in cohort.notes)


def test_near_copies_tie_patients(data: Path) -> None:
    turned = noise(1).transpose(Image.Transpose.ROTATE_90)
    turned.save(data / "img" / "I5.jpg", quality=60)
    cohort = build(data, ISIC)
    assert patient_groups(cohort.patients, cohort.images)["P4"] == "P1"


def test_unreadable_images_stay_until_they_are_dropped(data: Path) -> None:
    (data / "img" / "I4.jpg").write_bytes(b"")
    (data / "img" / "I2.jpg").write_bytes(b"not a picture")
    cohort = build(data, ISIC, TABLE, require_images=True)
    sizes = cohort.images.set_index("image_id")["width"]
    assert sizes.to_dict() == {"I1": 48, "I2": 0, "I3": 48, "I4": 0, "I5": 48}
    (data / "m.csv").write_text(LESIONS.replace("I5,P4,nevus", "I5,P4,melanoma"))
    cohort = build(data, ISIC, TABLE, require_images=True)
    dropped = drop_images(cohort, {"I2": "not an image", "I4": "empty file"}, "extract", True)
    # P1 keeps a nevus only, P3 keeps nothing.
    patients = dropped.patients.set_index("patient_id")["outcome"]
    assert patients.to_dict() == {"P1": 0, "P2": 0, "P4": 1}
    found = dropped.exclusions[dropped.exclusions["stage"] == "extract"]
    assert found[["entity", "id", "reason"]].to_numpy().tolist() == [
        ["image", "I2", "not an image"],
        ["image", "I4", "empty file"],
        ["patient", "P3", "no image"],
    ]
    for image in ("I2", "I4"):
        (data / "img" / f"{image}.jpg").unlink()
    assert build(data, ISIC, TABLE, require_images=True).digest() == dropped.digest()


def test_a_patient_label_survives_its_images(data: Path) -> None:
    (data / "c.csv").write_text("id,breslow,site,t\nP1,1.5,A,1\nP2,0.4,,0\nP3,1,,1\n")
    outcome = {"name": "o", "column": "t"}
    cohort = build(data, ISIC, TABLE | {"labels": {"t": "t"}}, outcome=outcome)
    dropped = drop_images(cohort, {"I3": "truncated"}, "extract", require_images=False)
    assert dropped.patients["patient_id"].tolist() == ["P1", "P2", "P3"]
    assert drop_images(dropped, {}, "extract", True) is dropped
    with pytest.raises(DataError, match=r"all 2 patients .* \(o = 1\).*1 left out: no image"):
        drop_images(cohort, {"I3": "truncated"}, "extract", require_images=True)


@pytest.mark.parametrize(
    ("clinical", "keys", "said"),
    [
        (
            "id,breslow,site\nX1,1,A\n",
            {},
            r"shares no patient id .* X1; they have P1.* label_matched",
        ),
        (CLINICAL, {"linkage": "none"}, "linkage none joins nothing, but 2 sources have patients"),
    ],
)
def test_sources_that_cannot_be_joined(
    data: Path, clinical: str, keys: dict[str, str], said: str
) -> None:
    (data / "c.csv").write_text(clinical)
    with pytest.raises(DataError, match=said):
        build(data, ISIC, TABLE, **keys)


def test_a_single_source_needs_no_linkage(data: Path) -> None:
    assert build(data, ISIC, linkage="none").linkage == "none"
    (data / "c.csv").write_text("id,breslow,site,t\nP1,1.5,A,1\nP2,0.4,,0\n")
    outcome = {"name": "o", "column": "t"}
    alone = build(data, TABLE | {"labels": {"t": "t"}}, outcome=outcome)
    assert (alone.n_patients, len(alone.images)) == (2, 0)
    assert patient_groups(alone.patients, alone.images) == {"P1": "P1", "P2": "P2"}


@pytest.mark.parametrize(
    ("lesions", "said"),
    [
        (LESIONS.replace("melanoma", "nevus"), r"all 4 patients .* \(melanoma = 0\)"),
        (LESIONS.replace("melanoma", "other").replace("nevus", ""), "the cohort has no patient"),
    ],
)
def test_one_class_or_none(data: Path, lesions: str, said: str) -> None:
    (data / "m.csv").write_text(lesions)
    with pytest.raises(DataError, match=said):
        build(data, ISIC)


def test_a_variable_of_two_sources(data: Path) -> None:
    (data / "c.csv").write_text("id,age,site\nP1,41,A\nP2,50,\nP5,33,\n")
    table = TABLE | {"columns": {"age": {"source": "age", "unit": "years"}}}
    cohort = build(data, ISIC, table)
    assert cohort.patients.set_index("patient_id").at["P1", "age"] == 40
    assert reasons(cohort)["value", "P1"] == "age: 40 kept (source listed first), others say 41"
    months = TABLE | {"columns": {"age": {"source": "age", "unit": "months"}}}
    with pytest.raises(DataError, match="'age' as numeric in years and numeric in months"):
        build(data, ISIC, months)


def test_an_image_id_in_two_sources(data: Path) -> None:
    with pytest.raises(DataError, match="duplicate image_id in the sources: I1, I2"):
        build(data, ISIC, ISIC)


def test_a_second_build_decodes_nothing_and_survives_a_damaged_cache(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = build(data, ISIC).digest()
    with monkeypatch.context() as patch:
        patch.setattr("featurestore.images.opening.inspect_pixels", None)
        assert build(data, ISIC).digest() == digest
    kept = sorted((data / "scratch").iterdir())
    caches = [path for path in kept if path.suffix not in (".sha256", ".lock")]
    assert caches
    for cache in caches:  # what was inspected, and which images are copies
        cache.write_bytes(cache.read_bytes()[:-20])
    assert build(data, ISIC).digest() == digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "metastases"}, "outcome.*unknown outcome 'metastases'; known: actinic"),
        ({"outcome": {"name": "x"}}, "outcome: .*either a column or an expression"),
        ({"outcome": {"name": "x", "expression": "1 +"}}, "outcome.expression = .*invalid syntax"),
        ({"outcome": {"name": "x", "column": "y", "positve": [1]}}, "did you mean 'positive'"),
        ({"linkage": "label_matched"}, "label_matched .* go together"),
        ({"linkage": "position"}, "input should be 'patient', 'none' or 'label_matched'"),
        ({"sources": []}, "sources"),
        ({"sources": [{"kind": "dicom"}]}, "known: .*isic, synthetic, table"),
        ({"sources": [ISIC | {"image": []}]}, "did you mean 'images'"),
    ],
)
def test_wrong_configurations_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(CohortConfig, {"sources": [ISIC], "outcome": "melanoma"} | change, "config")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is absent")
def test_isic_2017_as_downloaded(tmp_path: Path) -> None:
    parts = ("Training", "Validation")
    source = {
        "kind": "isic",
        "metadata": [
            f"isic2017/ISIC-2017_{p}_{s}.csv" for p in parts for s in ("Classes", "Data_metadata")
        ],
        "images": ["isic2017"],  # with the unlabelled test images
    }
    record = {"sources": [source], "outcome": "melanoma", "require_images": True}
    config = validate(CohortConfig, record, "config")
    cohort = build_cohort(config, "isic2017", ReadContext(SHARED, tmp_path))
    assert (cohort.n_patients, len(cohort.images), cohort.n_events) == (2150, 2150, 374 + 30)
    assert cohort.patients["age"].isna().sum() == 257
    assert (cohort.exclusions["reason"] == "no metadata row names it").sum() == 600
    clusters = cohort.images["duplicate_cluster"].value_counts()
    assert (clusters.max(), int((clusters > 1).sum())) == (2, 12)
    assert isinstance(cohort.images.dtypes["melanoma"], np.dtype)
    assert pd.notna(cohort.images["melanoma"]).all()
