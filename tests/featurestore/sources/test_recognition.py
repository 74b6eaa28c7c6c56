"""Every format that people download is recognised, and whatever is no table is not.

All rows are invented; only the layouts are those of the archives.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locations import SHARED

from featurestore.sources.mismatch import explain_mismatch
from featurestore.sources.recognition import FORMATS, guess_format

BIOTAB = "bcr_patient_uuid\tbcr_patient_barcode\t{}\nuuid\tbarcode\t{}\nCDE_ID:\tCDE_ID:2003301\t{}"
STUDY = "#Patient\t{0}\n#Patient\t{0}\n#STRING\tSTRING\n#1\t1\nPATIENT_ID\t{0}\n"

FILES = {
    "cbioportal_portal": (
        "Study ID\tPatient ID\tSample ID\tDiagnosis Age\nskcm\tTCGA-AA-0001\tTCGA-AA-0001-06\t61\n",
        ("cbioportal", "clinical"),
    ),
    "cbioportal_patient": (
        STUDY.format("AGE") + "TCGA-AA-0001\t61\n",
        ("cbioportal", "clinical"),
    ),
    "cbioportal_patient_without_comments": (
        "PATIENT_ID\tAGE\tSEX\nTCGA-AA-0001\t61\tMale\n",
        ("cbioportal", "clinical"),
    ),
    "cbioportal_sample": (
        STUDY.format("SAMPLE_ID") + "TCGA-AA-0001\tTCGA-AA-0001-06\n",
        ("cbioportal", "clinical"),
    ),
    "cbioportal_timeline": (
        "PATIENT_ID\tSTART_DATE\tSTOP_DATE\tEVENT_TYPE\nTCGA-AA-0001\t0\t3\tSPECIMEN\n",
        ("", ""),
    ),
    "cbioportal_expression": (
        "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-AA-0001-06\tTCGA-AA-0002-01\nBRAF\t673\t10.5\t0\n",
        ("cbioportal", "expression"),
    ),
    "cbioportal_cna": (
        "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-AA-0001-06\tTCGA-AA-0002-01\nBRAF\t673\t-1\t2\n",
        ("", ""),
    ),
    "maf": (
        "#version 2.4\nHugo_Symbol\tTumor_Sample_Barcode\tVariant_Classification\n"
        "BRAF\tTCGA-AA-0001-06A-11D-A196-08\tMissense_Mutation\n",
        ("cbioportal", "mutations"),
    ),
    "gdc_gender": (
        "cases.submitter_id\tdemographic.gender\tdiagnoses.ajcc_pathologic_t\n"
        "TCGA-AA-0001\tmale\t'--\n",
        ("gdc", "clinical"),
    ),
    "gdc_sex_at_birth": (
        "project.project_id\tcases.submitter_id\tdemographic.sex_at_birth\nT\tTCGA-AA-0001\tmale\n",
        ("gdc", "clinical"),
    ),
    "gdc_undotted": (
        "case_id\tcase_submitter_id\tproject_id\tgender\n1\tTCGA-AA-0001\tTCGA-SKCM\tmale\n",
        ("gdc", "clinical"),
    ),
    "gdc_pathology": (
        "cases.submitter_id\tpathology_details.breslow_thickness\nTCGA-AA-0001\t2.1\n",
        ("gdc", "pathology"),
    ),
    "gdc_exposure": (
        "cases.submitter_id\texposures.alcohol_history\nTCGA-AA-0001\t'--\n",
        ("", ""),
    ),
    "star_one_sample": (
        "# gene-model: GENCODE v36\ngene_id\tgene_name\tgene_type\tunstranded\n"
        "N_unmapped\t\t\t12\nENSG00000000003.15\tTSPAN6\tprotein_coding\t2211\n",
        ("", ""),
    ),
    "star_matrix": (
        "gene_id\tTCGA-AA-0001-06A\tTCGA-AA-0002-01A\nENSG00000000003.15\t2211\t0\n",
        ("gdc", "star_counts"),
    ),
    "xena_clinical": (
        "sampleID\t_PATIENT\tpathologic_T\nTCGA-AA-0001-06\tTCGA-AA-0001\tT4b\n",
        ("xena", "clinical"),
    ),
    "xena_hub": (
        "sample\tage_at_index.demographic\tajcc_pathologic_t.diagnoses\nTCGA-AA-0001-06A\t61\tT4b\n",
        ("xena", "clinical"),
    ),
    "xena_survival": (
        "sample\tOS\tOS.time\t_PATIENT\nTCGA-AA-0001-06A\t1\t300\tTCGA-AA-0001\n",
        ("xena", "survival"),
    ),
    "tcga_cdr": (
        "bcr_patient_barcode,type,OS,OS.time\nTCGA-AA-0001,SKCM,1,300\n",
        ("tcga_cdr", "path"),
    ),
    "xena_hiseq": (
        "sample\tTCGA-AA-0001-06\tTCGA-AA-0002-01\nBRAF\t10.5\t8.25\n",
        ("xena", "expression"),
    ),
    "xena_hub_counts": (
        "Ensembl_ID\tTCGA-AA-0001-06A\tTCGA-AA-0002-01A\nENSG00000000003.15\t11.1\t0.0\n",
        ("xena", "expression"),
    ),
    "biotab_patient": (
        BIOTAB.format("gender", "gender", "CDE_ID:2200604") + "\nu\tTCGA-AA-0001\tMALE\n",
        ("biotab", "patient"),
    ),
    "biotab_nte": (
        BIOTAB.format("new_tumor_event_type", "new", "CDE_ID:1") + "\nu\tTCGA-AA-0001\tLocal\n",
        ("biotab", "new_tumor_events"),
    ),
    "biotab_follow_up": (
        BIOTAB.format("bcr_followup_barcode\tvital_status", "a\tb", "CDE_ID:\tCDE_ID:5"),
        ("biotab", "follow_up"),
    ),
    "biotab_drug": (BIOTAB.format("bcr_drug_barcode", "a", "CDE_ID:"), ("", "")),
    "isic_archive": ("isic_id,attribution,sex\nISIC_0009868,A,female\n", ("isic", "metadata")),
    "isic_2017_truth": ("image_id,melanoma\nISIC_0000000,0.0\n", ("isic", "metadata")),
    "isic_2017": ("image_id,age_approximate,sex\nISIC_0000000,55,male\n", ("isic", "metadata")),
    "isic_2018": (
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_0024306,0,1,0,0,0,0,0\n",
        ("isic", "metadata"),
    ),
    "ham10000": (
        "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\n",
        ("isic", "metadata"),
    ),
    "isic_2019": (
        "image,age_approx,anatom_site_general,lesion_id,sex\n"
        "ISIC_0000002_downsampled,60,trunk,,male\n",
        ("isic", "metadata"),
    ),
    "isic_2020": (
        "image_name,patient_id,sex,age_approx,target\nISIC_2637011,IP_7279968,male,45,0\n",
        ("isic", "metadata"),
    ),
    "own_images": ("image_name,patient_id,label\nslide-7.png,hospital-1,0\n", ("table", "path")),
    "own": ("case;age;outcome\nA1;61;yes\nA2;44;no\n", ("table", "path")),
    "own_matrix": ("probe\tTCGA-AA-0001-06\tTCGA-AA-0002-01\n117_at\t1\t2\n", ("table", "path")),
}
NO_TABLES = {
    "page.csv": b"<!DOCTYPE html><html><body>Please sign in, or retry</body></html>",
    "answer.csv": b'{"error": "not found", "code": 404}',
    "list.json": b'[{"isic_id": "ISIC_0000000"}, {"isic_id": "ISIC_0000001"}]',
    "book.xlsx": b"PK\x03\x04\x14\x00\x06\x00\x08\x00",
    "book.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "paper.pdf": b"%PDF-1.7\n%\xe2\xe3",
    "photo.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "photo.png": b"\x89PNG\r\n\x1a\n",
    "packed.tsv.gz": gzip.compress(b"a\tb\n1\t2\n")[:-9],
    "empty.csv": b"",
    "blank.csv": b"\n\n",
    "comments.txt": b"# only\n# comments\n",
    "prose.txt": b"Dear colleague,\nplease find the data attached.\n",
    "list.txt": b"ISIC_0000000\nISIC_0000001\n",
    "binary.bin": b"a,b\n\x00\x01,2\n",
}


def write(folder: Path, text: str) -> Path:
    path = folder / "file.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_recognised(tmp_path: Path, name: str) -> None:
    text, expected = FILES[name]
    guess = guess_format(write(tmp_path, text))
    assert guess is not None
    assert (guess.kind, guess.role) == expected
    assert guess.name.strip()
    assert guess.why.strip()


@pytest.mark.parametrize("name", FILES)
def test_recognition_survives_other_columns_order_and_line_ends(tmp_path: Path, name: str) -> None:
    text, expected = FILES[name]
    delimiter = "\t" if "\t" in text else ";" if ";" in text else ","
    lines = text.rstrip("\n").split("\n")
    start = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    genes = "TCGA-" in lines[start]  # the first column of a matrix names the genes
    body = [line.split(delimiter) for line in lines[start:]]
    turned = [[*row[:1], *row[:0:-1]] if genes else row[::-1] for row in body]
    mixed = [*lines[:start], *(delimiter.join(row) for row in turned)]
    path = tmp_path / "file.txt"
    path.write_bytes("\r\n".join([*mixed, ""]).encode("utf-8-sig"))
    guess = guess_format(path)
    assert guess is not None
    assert (guess.kind, guess.role) == expected


@pytest.mark.parametrize("name", NO_TABLES)
def test_what_is_no_table_has_no_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(NO_TABLES[name])
    assert guess_format(path) is None
    message = explain_mismatch(path, "cbioportal")
    assert str(path) in message
    assert "a cBioPortal clinical table" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "wanted", "parts"),
    [
        ("gdc_gender", "cbioportal", ("not a cBioPortal clinical table", "source kind: gdc")),
        ("cbioportal_portal", "gdc", ("not a GDC clinical.tsv", "source kind: cbioportal")),
        ("xena_hiseq", "xena", ("not a Xena clinicalMatrix", "belongs under `expression`")),
        ("biotab_nte", "biotab", ("not a biotab patient table", "under `new_tumor_events`")),
        ("biotab_drug", "biotab", ("biotab drug table", "which is not read")),
        ("biotab_patient", "biotab.follow_up", ("not a biotab follow-up", "under `patient`")),
        ("isic_2020", "xena", ("ISIC metadata", "source kind: isic")),
        ("own", "gdc", ("case, age, outcome", "source kind: table")),
        ("xena_clinical", "xena", ("looks like a Xena clinicalMatrix", "missing")),
    ],
)
def test_a_mismatch_is_explained(
    tmp_path: Path, name: str, wanted: str, parts: tuple[str, ...]
) -> None:
    message = explain_mismatch(write(tmp_path, FILES[name][0]), wanted)
    assert all(part in message for part in parts), message


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    assert "no such file" in explain_mismatch(tmp_path / "gone.tsv", "gdc")
    assert guess_format(tmp_path / "gone.tsv") is None
    assert guess_format(tmp_path) is None


def test_parquet_is_recognised_by_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "metadata.parquet"
    pd.DataFrame({"isic_id": ["ISIC_0000001"], "age_approx": [45.0]}).to_parquet(path)
    guess = guess_format(path)
    assert guess is not None
    assert guess.kind == "isic"


def test_only_the_beginning_of_a_large_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.tsv"
    header = "sample\t" + "\t".join(f"TCGA-AA-{k:04d}-06" for k in range(2000))
    row = "\nBRAF\t" + "\t".join(["1.5"] * 2000)
    path.write_text(header + row * 400, encoding="utf-8")
    with path.open("ab") as file:
        file.write(b"\x00\xff damaged far behind")
    guess = guess_format(path)
    assert guess is not None
    assert (guess.kind, guess.role) == ("xena", "expression")


def test_readable_formats_name_a_kind_and_a_role() -> None:
    assert all(bool(known.kind) == bool(known.role) for known in FORMATS)
    assert all(known.name for known in FORMATS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(raw=st.binary(max_size=300), suffix=st.sampled_from([".csv", ".txt", ".parquet", ""]))
def test_any_bytes_give_a_guess_or_none(tmp_path: Path, raw: bytes, suffix: str) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(raw)
    guess = guess_format(path)
    assert guess is None or guess.name
    assert explain_mismatch(path, "gdc").startswith(str(path))


CELLS = st.sampled_from(
    ["PATIENT_ID", "SAMPLE_ID", "Hugo_Symbol", "TCGA-AA-0001-06", "sample", "CDE_ID:", "", '"', "#"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, max_size=6), max_size=6),
    delimiter=st.sampled_from(["\t", ",", ";"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
def test_ragged_tables_of_known_names_never_fail(
    tmp_path: Path, rows: list[list[str]], delimiter: str, end: str, encoding: str
) -> None:
    path = tmp_path / "any.txt"
    path.write_bytes(end.join(delimiter.join(row) for row in rows).encode(encoding))
    guess = guess_format(path)
    assert guess is None or guess in [
        type(guess)(f.kind, f.role, f.name, guess.why) for f in FORMATS
    ]
    assert explain_mismatch(path, "cbioportal")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("tcga_skcm/cbioportal_skcm_tcga_clinical_480x90.tsv", ("cbioportal", "clinical")),
        ("tcga_skcm/cell2015_skcm_subtype_333x112.csv", ("table", "path")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_patient_skcm.txt", ("biotab", "patient")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_nte_skcm.txt", ("biotab", "new_tumor_events")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_follow_up_v2.0_skcm.txt", ("biotab", "follow_up")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_drug_skcm.txt", ("", "")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_omf_v4.0_skcm.txt", ("", "")),
        ("tcga_skcm/gdc_biotab/gdc_clinical_radiation_skcm.txt", ("", "")),
        ("isic_archive/metadata.csv", ("isic", "metadata")),
        ("isic2017/ISIC-2017_Training_Classes.csv", ("isic", "metadata")),
        ("isic2017/ISIC-2017_Validation_Data_metadata.csv", ("isic", "metadata")),
        ("isic_uda1/metadata_selected.csv", ("isic", "metadata")),
        ("isic_uda1/LICENSE.txt", None),
    ],
)
def test_real_files_are_recognised(file: str, expected: tuple[str, str] | None) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"needs the real data in {SHARED}")
    guess = guess_format(path)
    assert (None if guess is None else (guess.kind, guess.role)) == expected
