"""What stands beside the data: codebook, data package, citation, changes, import scripts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.export import EXPORTERS, ColumnNote, ExportTable
from featurestore.export.package import About, Exported, Known, write_package
from featurestore.tables.dictionary import Column
from featurestore.tables.gaps import CODES

MARK = "SYNTHETIC DATA: made by a test."
STAGES = ("I", "II", "III")
AREA = 8 / 9


def study(n_extra: int = 0) -> list[ExportTable]:
    frame = pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(6)],
            "outcome": [0, 0, 0, 1, 1, 1],
            "stage": pd.Series(["I", "II", None, "III", "I", None], dtype="str"),
            "mut_BRAF": [0.0, 1.0, np.nan, 1.0, 1.0, np.nan],
            "breslow": [0.5, 1.25, 3.0, np.nan, 2.0, 0.1],
            "seen": ["2020-01-31", None, "2021-02-01", None, "1999-12-31", "2020-02-29"],
            "lp_head[all]": [0.1, 0.2, 0.5, 0.3, 0.6, 0.7],
            **{f"expr_G{i}": np.arange(6) / 7 + i for i in range(n_extra)},
        }
    )
    described = {
        "stage": Column("stage", "ordinal", "staging", "AJCC stage", levels=STAGES),
        "mut_BRAF": Column("mut_BRAF", "binary", "mutation", "BRAF mutated"),
        "breslow": Column("breslow", "numeric", "histopathology", "Breslow thickness", "mm"),
    }
    notes = {str(c): ColumnNote(f"Label of {c}") for c in frame.columns if c not in described}
    notes["outcome"] = ColumnNote("Outcome", values={0: "no event", 1: "event"})
    reasons = {"stage": np.array([0, 0, CODES["not_evaluated"], 0, 0, CODES["not_available"]])}
    return [
        ExportTable(
            "analysis",
            frame,
            described,
            notes,
            "One row a patient",
            ("patient_id",),
            ("outcome",),
            reasons,
        )
    ]


def about(**changes: object) -> About:
    images = pd.DataFrame(
        {
            "source": ["isic", "isic", "own"],
            "licence": ["CC-BY", "CC-BY", "unknown"],
            "attribution": ["Clinic | A", "Clinic | A", ""],
        }
    )
    area = Known("analysis", "outcome", "lp_head[all]", AREA, "head[all]")
    told = {"title": "Study", "description": "Six patients.", "watermark": MARK, "notes": ("N.",)}
    return About(**{**told, "images": images, "known": (area,), "version": "1", **changes})  # type: ignore[arg-type]


def exported(folder: Path, *formats: str, n_extra: int = 0, limit: int = 2000) -> Exported:
    exporters = [EXPORTERS[form] for form in formats]
    return write_package(study(n_extra), exporters, folder, about(), limit)


def test_the_area_is_what_the_example_says() -> None:
    frame = study()[0].frame
    events, others = (frame.loc[frame["outcome"] == k, "lp_head[all]"] for k in (1, 0))
    assert np.mean([a > b for a in events for b in others]) == pytest.approx(AREA)


def test_codebook_has_names_labels_units_values_and_reasons(tmp_path: Path) -> None:
    exported(tmp_path, "parquet")
    book = pd.read_csv(tmp_path / "codebook.csv", keep_default_na=False).set_index("name")
    assert list(book.index) == list(pd.read_parquet(tmp_path / "analysis.parquet").columns)
    assert book.loc["mut_braf", "original_name"] == "mut_BRAF"
    assert book.loc["mut_braf", "values"] == "0 = no; 1 = yes"
    assert book.loc["stage", "values"] == "1 = I; 2 = II; 3 = III"
    assert book.loc["stage", "missing_reasons"] == "not evaluated: 1; not available: 1"
    assert book.loc["breslow", "unit"] == "mm"
    assert book.loc["breslow", ["n", "missing"]].tolist() == [5, 1]
    page = (tmp_path / "codebook.html").read_text(encoding="utf-8")
    assert MARK in page
    assert "mut_BRAF" in page
    assert "1 = I<br>2 = II" in page


def test_a_hostile_label_is_only_text_on_the_page(tmp_path: Path) -> None:
    table = ExportTable(
        "t", pd.DataFrame({"x": [1]}), notes={"x": ColumnNote("<script>1</script>")}
    )
    write_package([table], [], tmp_path, about(known=()), 2000)
    assert "<script>" not in (tmp_path / "codebook.html").read_text(encoding="utf-8")


def test_data_package_describes_every_file(tmp_path: Path) -> None:
    exported(tmp_path, "csv", "dta")
    package = json.loads((tmp_path / "datapackage.json").read_text(encoding="utf-8"))
    assert [r["path"] for r in package["resources"]] == ["analysis.csv", "analysis.dta"]
    for resource in package["resources"]:
        content = (tmp_path / resource["path"]).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    schema = package["resources"][0]["schema"]
    assert schema["primaryKey"] == ["patient_id"]
    types = {field["name"]: field["type"] for field in schema["fields"]}
    assert types["outcome"] == "integer"
    assert types["breslow"] == "number"
    assert types["seen"] == "date"
    assert types["stage"] == "string"


def test_citation_names_every_source_and_what_is_not_stated(tmp_path: Path) -> None:
    exported(tmp_path)
    text = (tmp_path / "CITATION.md").read_text(encoding="utf-8")
    assert "| isic | CC-BY | Clinic \\| A | 2 |" in text
    assert "| own | not stated | not stated | 1 |" in text
    assert "The licence of 1 image is not stated" in text
    assert MARK in text


def test_changes_are_listed(tmp_path: Path) -> None:
    changes = exported(tmp_path, "sav", "xpt").changes
    listed = pd.read_csv(tmp_path / "changes.csv")
    assert len(listed) == len(changes)


def test_scripts_fit_the_formats(tmp_path: Path) -> None:
    exported(tmp_path, "parquet")
    assert [p.name for p in tmp_path.glob("import.*")] == ["import.R"]
    exported(tmp_path, "csv")
    names = {p.name for p in tmp_path.glob("import.*")}
    assert names == {"import.R", "import.do", "import.sps", "import.sas"}
    for name in names:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert repr(AREA) in text, name
        assert MARK.split(":")[0] in text, name


def test_split_tables_keep_their_check(tmp_path: Path) -> None:
    exported(tmp_path, "dta", n_extra=30, limit=12)
    assert sorted(p.name for p in tmp_path.glob("*.dta"))[0] == "analysis_part1.dta"
    script = (tmp_path / "import.do").read_text(encoding="utf-8")
    assert script.count("roctab outcome lp_head_all") == 1
    assert script.count("assert _N == 6") == len(list(tmp_path.glob("*.dta")))


def test_an_undescribed_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no codebook entry for x"):
        write_package([ExportTable("t", pd.DataFrame({"x": [1]}))], [], tmp_path, about(), 2000)


def test_rows_that_share_a_key_are_refused(tmp_path: Path) -> None:
    table = ExportTable("t", pd.DataFrame({"x": [1, 1]}), notes={"x": ColumnNote("X")}, key=("x",))
    with pytest.raises(DataError, match="rows share a key"):
        write_package([table], [], tmp_path, about(), 2000)
