"""`melafuse init`: what it writes loads, says why, and never overwrites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locations import SHARED
from PIL import Image

import cli
from featurestore.cohort.assemble import build_cohort
from featurestore.config import Section, load_config
from featurestore.errors import MelafuseError
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.config import RunConfig
from fusion.start.propose import propose
from fusion.start.propose.tables import look_at, propose_sources


def init(folder: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(
        cli.cli, ["init", *map(str, arguments), "--out", str(folder / "mine.yaml")]
    )


def written(folder: Path) -> RunConfig:
    return load_config(RunConfig, folder / "mine.yaml")


def text_of(folder: Path) -> str:
    text = (folder / "mine.yaml").read_text(encoding="utf-8")
    return " ".join(line.strip().lstrip("#").strip() for line in text.splitlines())


def pictures(folder: Path, names: Sequence[str]) -> Path:
    noise = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / name)
    return folder


def own_table(folder: Path, n: int = 40, id_of: Callable[[int], str] = "P{:03d}".format) -> Path:
    """Invented patients, in the columns that people have."""
    rows = [
        {
            "Patient ID": id_of(k),
            "Age": 40 + k,
            "Sex": ("f", "m")[k % 2],
            "Breslow": f"{1 + k / 10:.1f}",
            "Metastasis": ("no", "yes")[k % 3 == 0],
            "Follow-up months": 12 + (k * 7) % 60,
            "Relapse": ("n", "y")[k % 3 == 0],
            "Remarks": f"seen by {k}",
            "Centre": ("north", "south")[k % 2],
            "Visit": f"2020-01-{1 + k % 28:02d}",
            "Country": "here",
        }
        for k in range(n)
    ]
    path = folder / "patients.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def isic_table(folder: Path, n: int = 30) -> Path:
    rows = ["isic_id,age_approx,sex,diagnosis_1,diagnosis_3"]
    for k in range(n):
        kind = "Malignant,Melanoma Invasive" if k % 2 else "Benign,Nevus"
        rows.append(f"ISIC_{k:07d},{30 + k},female,{kind}")
    path = folder / "metadata.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_isic_metadata_and_images(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", [f"ISIC_{k:07d}.jpg" for k in range(5, 35)])
    result = init(tmp_path, "--images", images, "--table", isic_table(tmp_path))
    assert result.exit_code == 0, result.output
    assert "25 image files belong to a row, 5 of 30 files do not, and 5 ids" in result.output
    config = written(tmp_path)
    assert config.cohort.outcome == "melanoma"
    assert config.cohort.require_images
    (source,) = config.cohort.sources
    assert source.model_dump(mode="json")["metadata"] == ["metadata.csv"]
    assert source.model_dump(mode="json")["images"] == ["images"]
    assert config.folds.n_folds == 5
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert (cohort.n_patients, cohort.n_events) == (25, 13)
    assert "archive metadata: isic_id = ISIC_0000000" in text_of(tmp_path)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    result = init(tmp_path, "--table", own_table(tmp_path))
    assert result.exit_code == 0, result.output
    config = written(tmp_path)
    outcome = config.cohort.find_outcome()
    assert outcome.name == "metastasis"
    assert config.extract == RunConfig.model_fields["extract"].default
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert (cohort.n_patients, cohort.n_events) == (40, 14)
    assert set(cohort.patients["site"]) == {"north", "south"}
    kinds = {column.name: column.kind for column in cohort.dictionary}
    assert kinds == {
        "age": "numeric",
        "sex": "nominal",
        "breslow": "numeric",
        "follow_up_months": "numeric",
        "relapse": "binary",
    }
    assert cohort.dictionary["breslow"].group == "histopathology"
    assert cohort.dictionary["breslow"].unit == "mm"
    used = {column.name for column in cohort.dictionary.features()}
    assert used == {"age", "sex", "breslow"}
    text = text_of(tmp_path)
    assert "Remarks: text of 40 different values" in text
    assert "Visit: dates" in text
    assert "Country: the same value everywhere" in text
    assert "withheld: relapse" in text
    assert "patient ids are in 'Patient ID', by its name" in text


def test_row_order_changes_nothing(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    out = tmp_path / "mine.yaml"
    first = propose([path], [], out).text
    pd.read_csv(path, dtype=str).sample(frac=1, random_state=1).to_csv(path, index=False)
    assert propose([path], [], out).text == first


@pytest.mark.parametrize("subfolder", ["", "deep/er"])
def test_images_are_matched_by_id(tmp_path: Path, subfolder: str) -> None:
    table = own_table(tmp_path)
    pictures(tmp_path / "scans" / subfolder, [f"P{k:03d}.png" for k in range(30)])
    result = init(tmp_path, "--images", tmp_path / "scans", "--table", table)
    assert result.exit_code == 0, result.output
    assert "30 image files belong to a row" in result.output
    config = written(tmp_path)
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert len(cohort.images) == 30
    text = text_of(tmp_path)
    assert "column 'Patient ID' names 30 of 30 image files; 10 of its 40 ids have no file" in text


def test_images_are_matched_by_file_name(tmp_path: Path) -> None:
    names = [f"scan {k}.png" for k in range(20)]
    pictures(tmp_path / "scans", names)
    table = pd.DataFrame({"patient": [f"p{k // 2}" for k in range(20)], "file": names})
    table["melanoma"] = table["patient"].isin(["p1", "p2", "p3"]).astype(int)
    table.to_csv(tmp_path / "images.csv", index=False)
    result = init(tmp_path, "--images", tmp_path / "scans", "--table", tmp_path / "images.csv")
    assert result.exit_code == 0, result.output
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert (len(cohort.images), cohort.n_patients, cohort.n_events) == (20, 10, 3)


def test_sources_without_a_shared_patient_are_not_joined(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", [f"ISIC_{k:07d}.jpg" for k in range(30)])
    tables = ("--table", isic_table(tmp_path), "--table", own_table(tmp_path))
    result = init(tmp_path, "--images", images, *tables)
    assert result.exit_code == 0, result.output
    assert "left out table (patients.csv): none of its 40 ids is among" in result.output
    config = written(tmp_path)
    assert [source.kind for source in config.cohort.sources] == ["isic"]
    assert "label-matched protocol" in text_of(tmp_path)
    # What was left out stands in the file as comments that are a valid source.
    lines = (tmp_path / "mine.yaml").read_text(encoding="utf-8").splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("    # - kind: table"))
    block = [line[6:] for line in lines[start:] if line.startswith(("    # -", "    #   "))]
    (record,) = yaml.safe_load("\n".join(block))
    assert (record["path"], record["id"]) == ("patients.csv", "Patient ID")


def test_sources_with_shared_patients_are_joined(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", [f"ISIC_{k:07d}.jpg" for k in range(30)])
    own = own_table(tmp_path, id_of="ISIC_{:07d}".format)
    pd.read_csv(own, dtype=str).drop(columns=["Age", "Sex"]).to_csv(own, index=False)
    result = init(tmp_path, "--images", images, "--table", own, "--table", isic_table(tmp_path))
    assert result.exit_code == 0, result.output
    assert sorted(s.kind for s in written(tmp_path).cohort.sources) == ["isic", "table"]


def test_an_outcome_that_cannot_be_guessed_is_left_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    path.write_text("id,age,height\n" + "".join(f"a{k},{k},{k % 7}\n" for k in range(30)))
    result = init(tmp_path, "--table", path)
    assert result.exit_code == 0, result.output
    assert "COULD NOT BE GUESSED" in result.output
    config = written(tmp_path)
    assert config.cohort.find_outcome().name == "outcome"
    with pytest.raises(MelafuseError, match="REPLACE_ME"):
        build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))


def test_a_table_that_cannot_be_read_is_proposed_with_its_problem(tmp_path: Path) -> None:
    own_table(tmp_path)
    table = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    pd.concat([table, table[:1]]).to_csv(tmp_path / "patients.csv", index=False)
    result = init(tmp_path, "--table", tmp_path / "patients.csv")
    assert result.exit_code == 0, result.output
    assert "PROBLEM table (patients.csv): duplicate patient id" in result.output
    assert "PROBLEM: duplicate patient id" in text_of(tmp_path)
    assert written(tmp_path).cohort.sources


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.csv"
    page.write_text("<html>Please sign in</html>", encoding="utf-8")
    result = init(tmp_path, "--table", page, "--table", own_table(tmp_path))
    assert result.exit_code == 0, result.output
    assert "HTML or XML page" in result.output
    assert "HTML or XML page" in text_of(tmp_path)
    alone = init(tmp_path / "..", "--table", page)
    assert alone.exit_code != 0
    assert "no table can be used" in str(alone.exception)


def test_isic_metadata_without_images_is_one_error(tmp_path: Path) -> None:
    result = init(tmp_path, "--table", isic_table(tmp_path))
    assert "ISIC metadata needs --images FOLDER" in str(result.exception)
    assert not (tmp_path / "mine.yaml").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = own_table(tmp_path)
    assert init(tmp_path, "--table", path).exit_code == 0
    (tmp_path / "mine.yaml").write_text("mine: true\n", encoding="utf-8")
    result = init(tmp_path, "--table", path)
    assert "exists and is not overwritten" in str(result.exception)
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8") == "mine: true\n"


def test_a_table_is_required() -> None:
    result = CliRunner().invoke(cli.cli, ["init"])
    assert result.exit_code == 2
    assert "--table" in result.output


WILD = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
NAMES = st.text(WILD, max_size=12).filter(lambda name: name != "patient")
TEXTS = ("", "yes", "no", "1", "0", "2.5", "NA", "a: b", "#", "- ", "{", "line\nbreak")
CELLS = st.one_of(st.text(WILD, max_size=8), st.sampled_from(TEXTS))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(NAMES, min_size=2, max_size=6, unique_by=str.strip),
    rows=st.lists(st.lists(CELLS, min_size=6, max_size=6), min_size=2, max_size=8),
)
def test_any_table_gives_a_loadable_config_or_one_line(
    tmp_path: Path, names: list[str], rows: list[list[str]]
) -> None:
    table = pd.DataFrame([row[: len(names)] for row in rows], columns=names)
    table.insert(0, "patient", [f"p{k}" for k in range(len(table))])
    path = tmp_path / "wild.csv"
    path.write_bytes(table.to_csv(index=False).encode("utf-8", errors="replace"))
    out = tmp_path / "wild.yaml"
    try:
        text = propose([path], [], out).text
    except MelafuseError as error:
        message = str(error)
        assert "\n" not in message
        return
    out.write_bytes(text.encode("utf-8"))
    assert load_config(RunConfig, out).cohort.sources


def test_the_real_tcga_supplement(tmp_path: Path) -> None:
    path = SHARED / "tcga_skcm" / "cell2015_skcm_subtype_333x112.csv"
    if not path.exists():
        pytest.skip(f"needs the real data in {SHARED}")
    result = init(tmp_path, "--table", path)
    assert result.exit_code == 0, result.output
    outcome = written(tmp_path).cohort.find_outcome()
    assert "regional_vs_primary" in outcome.denied(["regional_vs_primary"])
    assert "266 with, 67 without" in text_of(tmp_path)


def test_the_real_challenge_files(tmp_path: Path) -> None:
    folder = SHARED / "isic2017"
    if not folder.exists():
        pytest.skip(f"needs the real data in {SHARED}")
    result = init(
        tmp_path,
        *("--images", folder / "ISIC-2017_Training_Data"),
        *("--table", folder / "ISIC-2017_Training_Classes.csv"),
        *("--table", folder / "ISIC-2017_Training_Data_metadata.csv"),
    )
    assert result.exit_code == 0, result.output
    assert "2,000 image files belong to a row, 0 of 2,000 files do not" in result.output
    assert written(tmp_path).cohort.outcome == "melanoma"


@pytest.mark.parametrize("word", [".", "?", "Unknown", "None", "missing", "not stated"])
def test_words_that_mean_missing_are_said_as_a_guess(tmp_path: Path, word: str) -> None:
    rows = [
        f"P{k:03d},{word if k % 5 == 0 else k / 7},{word if k % 4 == 0 else 'ab'[k % 2]},{k % 2}"
        for k in range(40)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,side,melanoma", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    config = written(tmp_path)
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert cohort.patients["breslow"].isna().sum() == 8
    assert cohort.dictionary["side"].levels == ("a", "b")
    assert cohort.patients["side"].isna().sum() == 10
    assert f"'side': {word!r} is taken for missing, which is a guess" in text_of(tmp_path)


@pytest.mark.parametrize("word", ["#N/A", "#DIV/0!", "<NA>", "NULL", "NaN", "n/a"])
def test_words_that_programs_write_for_missing_are_missing(tmp_path: Path, word: str) -> None:
    rows = [f"P{k:03d},{word if k % 5 == 0 else k / 7},{k % 2}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,melanoma", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert cohort.patients["breslow"].isna().sum() == 8


def test_a_word_that_is_one_of_two_values_is_one(tmp_path: Path) -> None:
    rows = [f"P{k:03d},{k / 7},{('none', 'metastasis')[k % 3 == 0]}" for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,breslow,metastasis", *rows]))
    assert init(tmp_path, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert (cohort.n_patients, cohort.n_events) == (40, 14)


def test_images_that_nothing_uses_are_said(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", ["a.jpg", "b.jpg"])
    result = init(tmp_path, "--images", folder, "--table", own_table(tmp_path))
    assert f"NOTE no image is used: no table names the 2 files of {folder}" in result.output
    assert "no image is used" in text_of(tmp_path)
    (tmp_path / "mine.yaml").unlink()
    (tmp_path / "empty").mkdir()
    result = init(tmp_path, "--images", tmp_path / "empty", "--table", tmp_path / "patients.csv")
    assert "there is no file that ends with .apng, .bmp, .dcm" in result.output


@pytest.mark.parametrize("ending", ["bmp", "gif", "webp", "tiff"])
def test_images_of_every_decoded_format(tmp_path: Path, ending: str) -> None:
    names = [f"P{k:03d}.{ending}" for k in range(38)]
    folder = pictures(tmp_path / "images", names)
    result = init(tmp_path, "--images", folder, "--table", own_table(tmp_path))
    assert "38 image files belong to a row, 0 of 38 files do not, and 2 ids" in result.output
    assert "NOTE" not in result.output


def test_lesions_stay_together_and_are_no_numbers(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", [f"i{k}.png" for k in range(40)])
    rows = [f"i{k}.png,{k // 2},{100000 + k * 37},{k % 7},{int(k % 4 < 2)}" for k in range(40)]
    header = "image,lesion_id,accession,spots,melanoma"
    (tmp_path / "t.csv").write_text("\n".join([header, *rows]))
    assert init(tmp_path, "--images", folder, "--table", tmp_path / "t.csv").exit_code == 0
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert cohort.counted.text == "20 lesions of unknown patients"
    assert cohort.dictionary.names == ["spots"]
    assert "accession: an id, by its name" in text_of(tmp_path)


@pytest.mark.parametrize(("of_lesions", "unit"), [(True, "lesion"), (False, "patient")])
def test_a_label_that_differs_between_lesions_is_theirs(
    tmp_path: Path, of_lesions: bool, unit: str
) -> None:
    folder = pictures(tmp_path / "images", [f"i{k}.png" for k in range(40)])
    owner = 2 if of_lesions else 4  # two images a lesion, two lesions a patient
    label = [("no", "yes")[k // owner % 2] for k in range(40)]
    rows = [f"i{k}.png,p{k // 4},L{k // 2},{y}" for k, y in enumerate(label)]
    (tmp_path / "t.csv").write_text("\n".join(["image,patient_id,lesion_id,recurred", *rows]))
    assert init(tmp_path, "--images", folder, "--table", tmp_path / "t.csv").exit_code == 0
    assert written(tmp_path).cohort.unit == unit


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("{k:04d}", "{k}"),
        ("{k}.0", "{k}"),
        ("A{k}", "a{k}"),
        ("TCGA.D3.A{k:03d}.06A", "TCGA-D3-A{k:03d}"),
    ],
)
def test_tables_are_joined_however_they_spell_ids(tmp_path: Path, left: str, right: str) -> None:
    one = [f"{left.format(k=k + 60)},{30 + k % 9},{k % 2}" for k in range(40)]
    two = [f"{k},{right.format(k=k + 60)},{k / 7:.2f}" for k in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["patient_id,age,melanoma", *one]))
    (tmp_path / "b.csv").write_text("\n".join(["id,study_no,breslow", *two]))
    result = init(tmp_path, *("--table", tmp_path / "a.csv"), *("--table", tmp_path / "b.csv"))
    assert "left out" not in result.output
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert cohort.n_patients == 40
    assert cohort.patients[["age", "breslow"]].notna().all(axis=None)


class Downloaded(Section):
    """Stands for a reader of downloads: only its keys matter here."""

    kind: str = "cbioportal"
    clinical: tuple[Path, ...]
    mutations: Path | None = None

    def read(self, context: ReadContext) -> SourceTables:
        images = pd.DataFrame(columns=list(SOURCE_IMAGE_COLUMNS), dtype="str")
        patients = pd.DataFrame({"patient_id": ["TCGA-AA-0001"]}, dtype="str")
        assert self.mutations is None, "large files are not read for a guess"
        assert all((context.data_root / path).is_file() for path in self.clinical)
        return SourceTables(images, patients, DataDictionary(), exclusions_table())


def test_files_of_one_download_belong_to_one_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusion.start.propose.tables.SOURCES", {"cbioportal": Downloaded})
    files = {
        "patient.txt": "#a\tb\nPATIENT_ID\tAGE\nTCGA-AA-0001\t61\n",
        "sample.txt": "#a\tb\nPATIENT_ID\tSAMPLE_ID\nTCGA-AA-0001\tTCGA-AA-0001-06\n",
        "one.maf": "Hugo_Symbol\tTumor_Sample_Barcode\nBRAF\tTCGA-AA-0001-06\n",
        "two.maf": "Hugo_Symbol\tTumor_Sample_Barcode\nNRAS\tTCGA-AA-0001-06\n",
        "drug.txt": "bcr_patient_barcode\tbcr_drug_barcode\na\tb\nCDE_ID:1\tCDE_ID:\n",
        "nte.txt": "bcr_patient_barcode\tnew_tumor_event_type\na\tb\nCDE_ID:1\tCDE_ID:\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = look_at([tmp_path / name for name in files])
    assert "no source reads it" in found[4].problem
    assert "no source of kind biotab" in found[5].problem
    (source,) = propose_sources(found, [], tmp_path)
    assert source.section == {
        "kind": "cbioportal",
        "clinical": ["patient.txt", "sample.txt"],
        "mutations": "one.maf",
    }
    assert source.tables is not None
    assert any("two.maf is left out: one.maf" in sentence for sentence in source.why)
    assert any("not read for this guess" in sentence for sentence in source.why)


def test_a_source_without_its_main_file_is_said_to_lack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fusion.start.propose.tables.SOURCES", {"cbioportal": Downloaded})
    path = tmp_path / "one.maf"
    path.write_text("Hugo_Symbol\tTumor_Sample_Barcode\nBRAF\tTCGA-AA-0001-06\n")
    (source,) = propose_sources(look_at([path, path]), [], tmp_path)
    assert "cannot be read without `clinical`" in source.problem
    assert not source.is_valid
