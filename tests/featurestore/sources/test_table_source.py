"""Any table becomes typed patients through its mapping, and says what it could not use."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from featurestore.cohort.config import CohortConfig
from featurestore.cohort.roles import roles_of_images
from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.table import TableSource

CLINICAL = (
    "Patient ID\tAge\tUlceration\tStage\tSite\tN\n"
    "P1\t50\tYES\tStage IA\tA\tN1\n"
    "P2\t[Not Available]\tno\tstage iib\tB\tN0\n"
    "P3\t61,5\tNA\t[Discrepancy]\tNA\tNX\n"
)
MAPPING: dict[str, Any] = {
    "kind": "table",
    "path": "clinical.tsv",
    "id": "Patient ID",
    "site": "Site",
    "columns": {
        "age": {"source": "Age", "kind": "numeric", "group": "demographic", "unit": "years"},
        "ulceration": {"source": "Ulceration", "kind": "binary", "values": {"YES": 1}},
        "stage": {
            "source": "Stage",
            "kind": "ordinal",
            "group": "staging",
            "levels": ["Stage IA", "Stage IIB"],
        },
    },
    "labels": {"nodes": "N"},
}


def read(folder: Path, mapping: dict[str, Any], **files: str) -> SourceTables:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return validate(TableSource, mapping, "config").read(ReadContext(folder, folder / "scratch"))


def test_a_clinical_table(tmp_path: Path) -> None:
    tables = read(tmp_path, MAPPING, clinical__tsv=CLINICAL)
    patients = tables.patients.set_index("patient_id")
    np.testing.assert_array_equal(patients["age"], [50, np.nan, 61.5])
    np.testing.assert_array_equal(patients["ulceration"], [1, 0, np.nan])
    assert patients["stage"].fillna("?").tolist() == ["Stage IA", "Stage IIB", "?"]
    assert patients["nodes"].tolist() == ["N1", "N0", "NX"]
    assert patients["site"].fillna("?").tolist() == ["A", "B", "?"]
    assert tables.dictionary.names == ["age", "ulceration", "stage"]
    age = tables.dictionary["age"]
    assert (age.unit, age.label, age.missing_tokens) == ("years", "Age", ("[Not Available]",))
    assert tables.images.empty
    assert tables.exclusions.empty


def test_a_value_that_is_no_number_is_reported(tmp_path: Path) -> None:
    table = CLINICAL.replace("61,5", "about 60")
    tables = read(tmp_path, MAPPING, clinical__tsv=table)
    assert tables.exclusions.to_numpy().tolist() == [
        ["value", "P3", "read", "age: 'about 60' is not a number; missing"]
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("P2", "P1", "duplicate patient id in .*clinical.tsv: P1"),
        ("P2", "[Not Available]", "column 'Patient ID' has no id in 1 row: row 2"),
        ("Age", "AGE", "no column 'Age'; the file has Patient ID, AGE, Ulceration"),
        ("stage iib", "Stage IV", "column 'Stage' holds 'Stage IV', which is none of the levels"),
        ("YES", "perhaps", "column 'Ulceration' holds 'perhaps'"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, MAPPING, clinical__tsv=CLINICAL.replace(old, new))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "layout rows needs `id`"),
        ({"labels": {"age": "Age"}}, "'age' stands under columns and under labels"),
        ({"labels": {"outcome": "Age"}}, "'outcome' is a name of melafuse"),
        ({"columns": {"s": {"source": "S", "kind": "ordinal"}}}, "needs its levels"),
        ({"colums": {}}, "did you mean 'columns'"),
        ({"images": {"image_id": "i"}}, "either a path column, or a pattern"),
        ({"images": {"image_id": "i", "pattern": "x.jpg"}}, "needs {image_id} in it"),
    ],
)
def test_wrong_mappings_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(TableSource, MAPPING | change, "config")


IMAGES = (
    "img;pat;age;mm;file\ni2;p1;51;0;two.jpg\ni1;p1;50;1;one.jpg\ni3;p2;40;0;\ni4;p2;40;0;no.jpg\n"
)
IMAGE_MAPPING: dict[str, Any] = {
    "kind": "table",
    "path": "images.csv",
    "id": "pat",
    "columns": {"age": {"source": "age"}},
    "labels": {"melanoma": "mm"},
    "images": {"image_id": "img", "path": "file", "folder": "pics", "licence": "CC-BY"},
}


def test_a_table_of_images(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / "pics" / name).write_bytes(b"x")
    tables = read(tmp_path, IMAGE_MAPPING, images__csv=IMAGES)
    images = tables.images.set_index("image_id")
    assert images["patient_id"].to_dict() == {"i1": "p1", "i2": "p1"}
    assert images["melanoma"].to_dict() == {"i1": "1", "i2": "0"}
    assert images.at["i1", "path"] == str(tmp_path / "pics" / "one.jpg")
    assert set(images["licence"]) == {"CC-BY"}
    assert tables.patients.set_index("patient_id")["age"].to_dict() == {"p1": 50.0, "p2": 40.0}
    reasons = dict(zip(tables.exclusions["id"], tables.exclusions["reason"], strict=True))
    assert reasons["i3"] == "no file name in its row"
    assert reasons["i4"].startswith("no file no.jpg")
    assert reasons["p1"].startswith("age: 50 kept (first image by id")


def test_a_column_says_how_an_image_was_taken(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for name in ("i1.JPG", "i2.JPG", "i3.JPG"):
        (tmp_path / "pics" / name).write_bytes(b"x")
    pictures = {"image_id": "img", "pattern": "{image_id}.JPG", "folder": "pics", "role": "kind"}
    mapping = {"kind": "table", "path": "t.csv", "id": "p", "images": pictures}
    rows = "p,img,kind\nA,i1,close-up\nA,i2,dermoscopic\nB,i3,NA\n"
    images = read(tmp_path, mapping, t__csv=rows).images.set_index("image_id")
    assert roles_of_images(images).to_dict() == {"i1": "close-up", "i2": "dermoscopic", "i3": ""}
    with pytest.raises(DataError, match="kind"):
        read(tmp_path, mapping, t__csv="p,img\nA,i1\n")


def test_a_pattern_names_files_and_reports_strangers(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    for name in ("i1.JPG", "i2.JPG", "stranger.png"):
        (tmp_path / "pics" / name).write_bytes(b"x")
    pictures = {"image_id": "img", "pattern": "{image_id}.JPG", "folder": "pics"}
    tables = read(tmp_path, IMAGE_MAPPING | {"images": pictures}, images__csv=IMAGES)
    assert sorted(tables.images["image_id"]) == ["i1", "i2"]
    assert "no row of the table names it" in set(tables.exclusions["reason"])


MATRIX = (
    "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-AA-0002-01\tTCGA-AA-0001-06\tTCGA-AA-0001-01\n"
    "TP53\t7157\t3\t99\t0\n"
    "BRAF\t673\t7\t99\tNA\n"
    "\t1\t5\t5\t5\n"
    "DUP\t2\t1\t1\t1\n"
    "DUP\t3\t15\t15\t15\n"
)
MATRIX_MAPPING: dict[str, Any] = {
    "kind": "table",
    "path": "matrix.txt",
    "layout": "genes_by_samples",
    "feature_column": "Hugo_Symbol",
    "drop": ["Entrez_Gene_Id"],
    "prefix": "rna_",
    "transform": "log2p1",
    "patient_id_length": 12,
}


def test_an_expression_matrix(tmp_path: Path) -> None:
    tables = read(tmp_path, MATRIX_MAPPING, matrix__txt=MATRIX)
    patients = tables.patients.set_index("patient_id")
    assert list(patients.columns) == ["rna_BRAF", "rna_DUP", "rna_TP53"]
    np.testing.assert_array_equal(patients.loc["TCGA-AA-0001"], [np.nan, 4, 0])
    np.testing.assert_array_equal(patients.loc["TCGA-AA-0002"], [3, 4, 2])
    column = tables.dictionary["rna_TP53"]
    assert (column.kind, column.group, column.unit) == ("expression", "expression", "log2(x+1)")
    reasons = tables.exclusions["reason"].tolist()
    assert "sample TCGA-AA-0001-06: another sample comes first by id" in reasons
    assert "1 row of matrix.txt without gene name" in reasons
    assert "2 rows of matrix.txt have this gene name; the one of greatest sum kept" in reasons


def test_the_matrix_does_not_depend_on_the_order_of_rows_and_columns(tmp_path: Path) -> None:
    tables = read(tmp_path, MATRIX_MAPPING, matrix__txt=MATRIX)
    lines = [line.split("\t") for line in MATRIX.splitlines()]
    turned = [lines[0], *lines[:0:-1]]
    shuffled = "\n".join("\t".join(line[k] for k in (4, 2, 0, 3, 1)) for line in turned)
    again = read(tmp_path, MATRIX_MAPPING, matrix__txt=shuffled)
    pd.testing.assert_frame_equal(again.patients, tables.patients)
    assert again.dictionary == tables.dictionary


def test_a_matrix_of_words_or_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="log2p1 needs counts"):
        read(tmp_path, MATRIX_MAPPING, matrix__txt=MATRIX.replace("\t7\t", "\t-7\t"))
    words = "gene\tcytoband\n" + "".join(f"G{k}\t{k}q21\n" for k in range(9))
    with pytest.raises(DataError, match="sample 'cytoband' is read as numbers, but 9 of 9"):
        read(tmp_path, MATRIX_MAPPING | {"feature_column": "gene", "drop": []}, matrix__txt=words)


def test_of_several_rows_the_preferred_one_counts(tmp_path: Path) -> None:
    mapping = {
        "kind": "table",
        "path": "t.csv",
        "id": "id",
        "prefer": {"sample": "primary"},
        "columns": {"age": {"source": "age"}},
    }
    rows = "id,sample,age\nP1,Metastasis,1\nP1,Primary ,2\nP2,Metastasis,3\n"
    tables = read(tmp_path, mapping, t__csv=rows)
    assert tables.patients["patient_id"].tolist() == ["P1", "P2"]
    assert tables.patients["age"].tolist() == [2.0, 3.0]
    assert tables.exclusions["reason"].tolist() == ["t.csv: the row with sample primary counts"]
    with pytest.raises(DataError, match=r"duplicate patient id in .*: P2"):
        read(tmp_path, mapping, t__csv=rows + "P2,Metastasis,4\n")
    with pytest.raises(DataError, match="sample"):
        read(tmp_path, mapping, t__csv=rows.replace("sample", "specimen"))


WORDS = "id,status,stage,size\n" + "".join(
    f"P{k},{status},{stage},{size}\n"
    for k, (status, stage, size) in enumerate(
        [("none", "NA", "1.5"), ("Metastasis", "I", "?"), ("none", "Unknown", "2"), ("?", "I", ".")]
    )
)
NAMED: dict[str, Any] = {
    "kind": "table",
    "path": "w.csv",
    "id": "id",
    "labels": {"status": "status"},
    "columns": {
        "size": {"source": "size"},
        "stage": {"source": "stage", "kind": "nominal", "levels": ["I", "NA"]},
    },
}


def labelled(folder: Path, outcome: dict[str, Any], **keys: Any) -> SourceTables:
    """Reads the table as a cohort with this outcome does."""
    record = {"sources": [NAMED | keys], "outcome": {"name": "m", **outcome}}
    config = validate(CohortConfig, record, "config")
    (folder / "w.csv").write_text(WORDS)
    context = ReadContext(folder, folder / "scratch", named=config.named_texts())
    return config.sources[0].read(context)


@pytest.mark.parametrize(
    ("outcome", "labels"),
    [
        (
            {"column": "status", "positive": ["metastasis"], "negative": ["None"]},
            ["none", "Metastasis", "none", ""],  # named, so a value; ? is none
        ),
        (
            {"column": "status", "positive": ["metastasis"], "negative": []},
            ["none", "Metastasis", "none", "?"],  # every other known value counts
        ),
        ({"expression": "status == 'none'"}, ["none", "Metastasis", "none", "?"]),
        (
            {"column": "status", "positive": ["?"], "negative": ["none", "metastasis"]},
            ["none", "Metastasis", "none", "?"],
        ),
    ],
)
def test_what_the_outcome_names_is_a_value(
    tmp_path: Path, outcome: dict[str, Any], labels: list[str]
) -> None:
    tables = labelled(tmp_path, outcome)
    assert tables.patients["status"].fillna("").tolist() == labels


def test_what_a_mapping_names_is_a_value(tmp_path: Path) -> None:
    patients = labelled(tmp_path, {"column": "status"}).patients
    assert patients["stage"].fillna("-").tolist() == ["NA", "I", "-", "I"]
    np.testing.assert_array_equal(patients["size"], [1.5, np.nan, 2, np.nan])
    recoded = {"source": "stage", "kind": "ordinal", "levels": ["0", "I"], "values": {"na": "0"}}
    again = labelled(tmp_path, {"column": "status"}, columns={"stage": recoded}).patients
    assert again["stage"].fillna("-").tolist() == ["0", "I", "-", "I"]
    free = labelled(
        tmp_path, {"column": "status"}, columns={"s": {"source": "stage", "kind": "nominal"}}
    )
    assert free.patients["s"].fillna("-").tolist() == ["-", "I", "Unknown", "I"]  # it may be one


def test_normal_tissue_is_no_sample_of_a_tumour(tmp_path: Path) -> None:
    text = "g\tTCGA-AA-0001-11\tTCGA-AA-0001-06\tTCGA-AA-0002-10\nA\t1\t3\t7\nB\t0.5\t1\t2\n"
    mapping = {"kind": "table", "path": "m.tsv", "layout": "genes_by_samples"}
    tables = read(tmp_path, {**mapping, "patient_id_length": 12}, m__tsv=text)
    assert tables.patients["patient_id"].tolist() == ["TCGA-AA-0001"]
    assert tables.patients["A"].tolist() == [3.0]
    assert tables.exclusions["reason"].tolist() == [
        "sample TCGA-AA-0001-11: tissue normal",
        "sample TCGA-AA-0002-10: blood normal",
    ]


def test_images_are_searched_in_folders_and_archives(tmp_path: Path) -> None:
    (tmp_path / "img" / "part 1").mkdir(parents=True)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8))
    picture.save(tmp_path / "img" / "part 1" / "A.JPG", "JPEG")
    picture.save(tmp_path / "stranger.png")
    with zipfile.ZipFile(tmp_path / "img" / "b.zip", "w") as archive:
        archive.write(tmp_path / "stranger.png", "in/b.png")
        archive.write(tmp_path / "stranger.png", "in/stranger.png")
        archive.write(tmp_path / "stranger.png", "../d.png")
    images = {"image_id": "i", "folders": ["img"]}
    mapping = {"kind": "table", "path": "t.csv", "id": "p", "images": images}
    tables = read(tmp_path, mapping, t__csv="i,p\na,P1\nb,P2\nc,P3\n")
    assert tables.images["image_id"].tolist() == ["a", "b"]
    assert tables.images["path"].tolist() == [
        str(tmp_path / "img" / "part 1" / "A.JPG"),
        f"{tmp_path}/img/b.zip::in/b.png",
    ]
    reasons = tables.exclusions.set_index("id")["reason"].to_dict()
    assert reasons == {
        "c": "no file of this id under " + str(tmp_path / "img"),
        "stranger.png": "no row names it",
        "b.zip::../d.png": "its name leads out of the archive, or is no path",
    }


def test_a_table_without_ids_has_those_of_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("age,sex\n50,f\n61,m\n50,f\n")
    keys = {"kind": "table", "path": "t.csv", "columns": {"age": {"source": "age"}}}
    source = TableSource.model_validate({**keys, "id_by_content": True})
    patients = source.read(ReadContext(tmp_path, tmp_path)).patients
    assert patients["patient_id"].is_unique
    (tmp_path / "t.csv").write_text("sex,age\nm,61\nf,50\nf,50\n")
    again = source.read(ReadContext(tmp_path, tmp_path)).patients
    assert set(again["patient_id"]) == set(patients["patient_id"])
    for wrong in ({}, {"id": "age", "id_by_content": True}):
        with pytest.raises(ValueError, match="or else `id_by_content: true`"):
            TableSource.model_validate({**keys, **wrong})
    prefer = {"id_by_content": True, "prefer": {"sex": "f"}}
    with pytest.raises(ValueError, match="needs an `id`"):
        TableSource.model_validate({**keys, **prefer})
