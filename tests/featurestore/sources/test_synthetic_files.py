from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from featurestore.progress import SILENT
from featurestore.sources.synthetic_files import (
    CLINICAL_FILE,
    EXPRESSION_FILE,
    IMAGE_FOLDER,
    MANIFEST_FILE,
    METADATA_FILE,
    PLANTED_FILE,
    TRUTH_FILE,
    is_complete,
    plan_photographs,
    write_cohort,
)
from featurestore.sources.synthetic_images import ORIENTATIONS
from featurestore.sources.synthetic_model import Effects, PlantedPatients, draw_patients


def draw(patients: int) -> PlantedPatients:
    return draw_patients(patients, 30, 0.3, Effects(), True, np.random.SeedSequence(0))


def write(folder: Path, troubles: bool = True) -> Path:
    folder.mkdir()
    people = draw(40)
    shots = plan_photographs(people.signs.index, (72, 100), np.random.default_rng(1))
    write_cohort(people, shots, troubles, folder, np.random.SeedSequence(2), SILENT)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cohort") / "files")


@pytest.fixture(scope="module")
def planted(folder: Path) -> dict[str, str | list[str]]:
    record: dict[str, str | list[str]] = json.loads((folder / PLANTED_FILE).read_text())
    return record


def metadata(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / METADATA_FILE, dtype=str)


def image(folder: Path, image_id: object) -> Path:
    return folder / IMAGE_FOLDER / f"{image_id}.jpg"


def digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again")
    assert digests(again) == digests(folder)


def test_acquisition_says_nothing_about_the_outcome() -> None:
    people = draw(2000)
    shots = plan_photographs(people.signs.index, (300, 600), np.random.default_rng(1))
    outcome = shots["patient_id"].map(people.truth["metastasis"])
    for name in shots.columns.drop(["image_id", "patient_id", "lesion_id"]):
        auroc = roc_auc_score(outcome, shots[name])
        assert auroc == pytest.approx(0.5, abs=0.04), name
    count = shots["patient_id"].value_counts().reindex(people.truth.index)
    assert roc_auc_score(people.truth["metastasis"], count) == pytest.approx(0.5, abs=0.04)
    for name in ("image_id", "lesion_id"):
        number = shots[name].str.extract(r"(\d+)", expand=False).astype(int)
        assert roc_auc_score(outcome, number) == pytest.approx(0.5, abs=0.04), name


def test_every_patient_has_one_to_three_photographs_of_one_lesion() -> None:
    shots = plan_photographs(draw(300).signs.index, (300, 600), np.random.default_rng(1))
    by_patient = shots.groupby("patient_id")
    assert set(by_patient.size()) == {1, 2, 3}
    assert (by_patient["lesion_id"].nunique() == 1).all()
    assert shots["image_id"].is_unique
    assert set(shots["orientation"]) == set(ORIENTATIONS)
    assert shots["width"].between(300, 600).all()


def test_metadata_follow_isic_cli(folder: Path) -> None:
    table = metadata(folder)
    assert list(table.columns[:3]) == ["isic_id", "attribution", "copyright_license"]
    keys = list(table.columns[3:])
    assert keys == sorted(keys)
    assert table["isic_id"].str.fullmatch(r"ISIC_\d{7}").all()
    assert table["lesion_id"].str.fullmatch(r"IL_\d{7}").all()
    assert table["isic_id"].is_unique
    assert table["attribution"].str.contains("synthetic").all()


def test_exif_orientations_are_stored(folder: Path) -> None:
    seen = set()
    for path in (folder / IMAGE_FOLDER).glob("*.jpg"):
        if path.stat().st_size:
            with Image.open(path) as stored:
                seen.add(stored.getexif().get(0x0112))
    assert seen >= set(ORIENTATIONS)


def test_clinical_table_follows_cbioportal(folder: Path) -> None:
    table = pd.read_csv(folder / CLINICAL_FILE, sep="\t", dtype=str, keep_default_na=False)
    assert list(table.columns[:3]) == ["Study ID", "Patient ID", "Sample ID"]
    assert (table["Sample ID"] == table["Patient ID"] + "-01").all()
    assert set(table["Primary melanoma tumor ulceration"]) == {"YES", "NO", "[Not Available]"}
    assert "NA" in set(table["breslow depth"])
    assert not (table == "").any(axis=None)
    truth = pd.read_csv(folder / TRUTH_FILE, index_col="patient_id")["metastasis"]
    assert (table["Metastasis"].astype(int) == table["Patient ID"].map(truth)).all()


def test_expression_matrix_follows_cbioportal(folder: Path) -> None:
    matrix = pd.read_csv(folder / EXPRESSION_FILE, sep="\t")
    assert list(matrix.columns[:2]) == ["Hugo_Symbol", "Entrez_Gene_Id"]
    assert len(matrix) == 30
    clinical = pd.read_csv(folder / CLINICAL_FILE, sep="\t")
    samples = set(matrix.columns[2:])
    assert samples < set(clinical["Sample ID"])
    assert (matrix["Entrez_Gene_Id"] < 0).all(), "no gene of the cohort is a real one"


def test_spoiled_files_cannot_be_read(folder: Path, planted: dict[str, str | list[str]]) -> None:
    with (
        pytest.raises(OSError, match="truncated"),
        Image.open(image(folder, planted["truncated"])) as stored,
    ):
        stored.load()
    assert image(folder, planted["empty"]).stat().st_size == 0


def test_spoiled_images_belong_to_patients_with_a_sound_one(
    folder: Path, planted: dict[str, str | list[str]]
) -> None:
    table = metadata(folder)
    spoiled = [planted["truncated"], planted["empty"]]
    owners = table.loc[table["isic_id"].isin(spoiled), "patient_id"]
    others = table[~table["isic_id"].isin(spoiled) & table["patient_id"].isin(owners)]
    assert set(others["patient_id"]) == set(owners)
    assert owners.nunique() == 2


@pytest.mark.parametrize("key", ["exact_copy", "rotated_copy"])
def test_copies_belong_to_other_patients(
    folder: Path, planted: dict[str, str | list[str]], key: str
) -> None:
    owner = metadata(folder).set_index("isic_id")["patient_id"]
    original, copy = planted[key]
    assert owner[original] != owner[copy]
    same_bytes = image(folder, original).read_bytes() == image(folder, copy).read_bytes()
    assert same_bytes == (key == "exact_copy")


def test_unmatched_rows_and_files(folder: Path, planted: dict[str, str | list[str]]) -> None:
    rows = metadata(folder)
    files = {p.stem for p in (folder / IMAGE_FOLDER).glob("*.jpg")}
    assert files - set(rows["isic_id"]) == {planted["file_without_row"]}
    assert set(rows["isic_id"]) - files == {planted["row_without_file"]}
    clinical = set(pd.read_csv(folder / CLINICAL_FILE, sep="\t")["Patient ID"])
    assert clinical - set(rows["patient_id"]) == {planted["patient_without_image"]}
    assert set(rows["patient_id"]) - clinical == {planted["patient_without_row"]}


def test_without_troubles_everything_matches(tmp_path: Path) -> None:
    folder = write(tmp_path / "sound", troubles=False)
    assert json.loads((folder / PLANTED_FILE).read_text()) == {}
    rows = metadata(folder)
    assert {p.stem for p in (folder / IMAGE_FOLDER).glob("*.jpg")} == set(rows["isic_id"])
    clinical = pd.read_csv(folder / CLINICAL_FILE, sep="\t")
    assert set(clinical["Patient ID"]) == set(rows["patient_id"])
    for path in (folder / IMAGE_FOLDER).glob("*.jpg"):
        with Image.open(path) as stored:
            stored.load()


def test_a_folder_is_complete_until_a_file_changes(tmp_path: Path) -> None:
    folder = write(tmp_path / "files")
    assert is_complete(folder)
    sound = (folder / TRUTH_FILE).read_bytes()
    for damaged in (sound + b"\n", sound[:-1], sound[:-9] + bytes([sound[-9] ^ 1]) + sound[-8:]):
        (folder / TRUTH_FILE).write_bytes(damaged)
        assert not is_complete(folder)
    (folder / TRUTH_FILE).write_bytes(sound)
    assert is_complete(folder)
    (folder / TRUTH_FILE).unlink()
    assert not is_complete(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", '{"absent.txt": 1}'])
def test_a_spoiled_manifest_is_not_complete(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST_FILE).write_text(content)
    assert not is_complete(tmp_path)
