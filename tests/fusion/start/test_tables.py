"""Several tables: which are joined, which are left out, and which make one source."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from propose_example import init, isic_table, own_table, pictures, text_of, written

from featurestore.cohort.assemble import build_cohort
from featurestore.config import Section
from featurestore.sources.base import SOURCE_IMAGE_COLUMNS, ReadContext, SourceTables
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.start.propose.tables import look_at, propose_sources


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
