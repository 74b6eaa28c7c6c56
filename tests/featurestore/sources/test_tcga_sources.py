"""The sources of TCGA downloads: right values, or one clear line, whatever happened to the file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from locations import SHARED
from wild_table_example import DAMAGES, wild

from featurestore.errors import DataError
from featurestore.sources import SOURCES
from featurestore.sources.base import ReadContext, SourceTables

TCGA = SHARED / "tcga_skcm"
needs_shared = pytest.mark.skipif(
    not TCGA.is_dir(),
    reason="needs the TCGA tables in ../shared/data, which are not part of this",
)
FUZZ = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@dataclasses.dataclass(frozen=True)
class Format:
    """An invented file of one format, and what must come out of it.

    Attributes:
        kind: Kind of the source.
        key: Key of its configuration that names the file.
        rows: Cells, header first; the id is the first column.
        header_lines: Lines of the header.
        expected: Values by patient and canonical column.
    """

    kind: str
    key: str
    rows: list[list[str]]
    header_lines: int
    expected: dict[str, dict[str, Any]]


PEOPLE = {
    "TCGA-XX-0001": {"age": 50.0, "sex": "male", "n_stage": "N1a", "breslow": 1.5},
    "TCGA-XX-0002": {"age": None, "sex": "female", "n_stage": None, "breslow": 0.4},
    "TCGA-YY-0003": {"age": 71.0, "sex": "female", "n_stage": "N0", "breslow": None},
}
FORMATS = {
    "cbioportal": Format(
        "cbioportal",
        "clinical",
        [
            ["Sample ID", "Diagnosis Age", "Sex",
             "Neoplasm Disease Lymph Node Stage American Joint Committee on Cancer Code",
             "breslow depth", "Sample Type", "Notes"],
            ["TCGA-XX-0001-01", "50", "Male", "N1a", "1.5", "Primary", "a \"b"],
            ["TCGA-XX-0002-06", "NA", "Female", "NX", "0.4", "Metastasis", "c"],
            ["TCGA-YY-0003-06", "71", "Female", "N0", "[Not Available]",
             "Metastasis", "NA"],
        ],
        1,
        PEOPLE,
    ),
    "xena": Format(
        "xena",
        "clinical",
        [
            ["sampleID", "age_at_initial_pathologic_diagnosis", "gender", "pathologic_N",
             "breslow_depth_value", "sample_type"],
            ["TCGA-XX-0001-01", "50", "MALE", "N1a", "1.5", "Primary Tumor"],
            ["TCGA-XX-0002-06", "", "FEMALE", "NX", "0.4", "Metastatic"],
            ["TCGA-YY-0003-06", "71", "FEMALE", "N0", "", "Metastatic"],
        ],
        1,
        PEOPLE,
    ),
    "xena_hub": Format(
        "xena",
        "clinical",
        [
            ["submitter_id.samples", "age_at_index.demographic", "gender.demographic",
             "ajcc_pathologic_n.diagnoses", "sample_type.samples"],
            ["TCGA-XX-0001-01A", "50", "male", "N1a", "Primary Tumor"],
            ["TCGA-XX-0002-06A", "", "female", "NX", "Metastatic"],
            ["TCGA-YY-0003-06A", "71", "female", "N0", "Metastatic"],
        ],
        1,
        {p: {k: v for k, v in c.items() if k != "breslow"} for p, c in PEOPLE.items()},
    ),
    "gdc": Format(
        "gdc",
        "clinical",
        [
            ["cases.submitter_id", "demographic.gender", "diagnoses.age_at_diagnosis",
             "diagnoses.ajcc_pathologic_n", "diagnoses.diagnosis_is_primary_disease"],
            ["TCGA-XX-0001", "male", "18262", "N1a", "true"],
            ["TCGA-XX-0001", "male", "25000", "N3", "false"],
            ["TCGA-XX-0002", "female", "'--", "NX", "true"],
            ["TCGA-YY-0003", "female", "25933", "N0", "true"],
        ],
        1,
        {p: {k: v for k, v in c.items() if k != "breslow"} for p, c in PEOPLE.items()},
    ),
    "gdc_old": Format(
        "gdc",
        "clinical",
        [
            ["case_submitter_id", "sex_at_birth", "age_at_diagnosis", "ajcc_pathologic_n"],
            ["TCGA-XX-0001", "male", "18262", "N1a"],
            ["TCGA-XX-0002", "female", "'--", "NX"],
            ["TCGA-YY-0003", "female", "25933", "N0"],
        ],
        1,
        {p: {k: v for k, v in c.items() if k != "breslow"} for p, c in PEOPLE.items()},
    ),
    "biotab": Format(
        "biotab",
        "patient",
        [
            ["bcr_patient_barcode", "gender", "age_at_diagnosis", "ajcc_nodes_pathologic_pn",
             "breslow_thickness_at_diagnosis", "vital_status"],
            ["bcr_patient_barcode", "gender", "age_at_initial_pathologic_diagnosis",
             "pathologic_N", "breslow_depth_value", "vital_status"],
            ["CDE_ID:2003301", "CDE_ID:2200604", "CDE_ID:2006657", "CDE_ID:3203106",
             "CDE_ID:2593055", "CDE_ID:5"],
            ["TCGA-XX-0001", "MALE", "50", "N1a", "1.5", "Alive"],
            ["TCGA-XX-0002", "FEMALE", "[Not Available]", "NX", "0.4", "Dead"],
            ["TCGA-YY-0003", "FEMALE", "71", "N0", "[Unknown]", "Alive"],
        ],
        3,
        PEOPLE,
    ),
}  # fmt: skip


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


def read(form: Format, path: Path, **more: Any) -> SourceTables:
    name: Any = [path.name] if form.kind == "cbioportal" else path.name
    source = SOURCES[form.kind](kind=form.kind, **{form.key: name}, **more)
    return source.read(ReadContext(path.parent, path.parent / "scratch"))


def write(rows: list[list[str]], path: Path) -> Path:
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def as_expected(tables: SourceTables, form: Format) -> None:
    patients = tables.patients.set_index("patient_id")
    assert sorted(patients.index) == sorted(form.expected)
    for patient, columns in form.expected.items():
        for name, value in columns.items():
            got = patients.loc[patient, name]
            if value is None:
                assert pd.isna(got), (patient, name, got)
            elif isinstance(value, float):
                assert got == pytest.approx(value, abs=0.05), (patient, name)
            else:
                assert got == value, (patient, name)
    assert dict(patients["site"]) == {p: p[5:7] for p in form.expected}


def test_values(form: Format, tmp_path: Path) -> None:
    as_expected(read(form, write(form.rows, tmp_path / "c.tsv")), form)


@FUZZ
@given(data=st.data())
def test_values_survive_what_files_go_through(form: Format, tmp_path: Path, data: Any) -> None:
    change = data.draw(wild(len(form.rows[0]), ["none"]))
    path = tmp_path / "c.tsv"
    change.write(form.rows, path, form.header_lines)
    as_expected(read(form, path), form)


@FUZZ
@given(data=st.data())
def test_a_spoiled_file_is_one_clear_line(form: Format, tmp_path: Path, data: Any) -> None:
    change = data.draw(wild(len(form.rows[0]), DAMAGES))
    path = tmp_path / "c.tsv"
    change.write(form.rows, path, form.header_lines)
    with pytest.raises(DataError) as caught:
        read(form, path)
    assert "\n" not in str(caught.value)
    assert "c.tsv" in str(caught.value)


@FUZZ
@given(data=st.data())
def test_any_bytes_are_read_or_refused(form: Format, tmp_path: Path, data: Any) -> None:
    path = tmp_path / "c.tsv"
    text = "\n".join("\t".join(row) for row in form.rows).encode()
    at = data.draw(st.integers(0, len(text)))
    path.write_bytes(text[:at] + data.draw(st.binary(max_size=20)) + text[at:])
    try:
        read(form, path)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("form_of", ["cbioportal", "xena", "biotab"])
def test_decimal_commas_and_dates_of_a_spreadsheet(form_of: str, tmp_path: Path) -> None:
    """`1,5` is understood; `01. Mai` instead of 1.5 is reported, never guessed."""
    form = FORMATS[form_of]
    at = next(k for k, h in enumerate(form.rows[form.header_lines > 1]) if "breslow" in h)
    rows = [list(row) for row in form.rows]
    rows[form.header_lines][at], rows[form.header_lines + 1][at] = "1,5", "0,4"
    as_expected(read(form, write(rows, tmp_path / "c.tsv")), form)
    rows[form.header_lines][at] = "01. Mai"
    tables = read(form, write(rows, tmp_path / "c.tsv"))
    assert np.isnan(tables.patients.set_index("patient_id").loc["TCGA-XX-0001", "breslow"])
    assert tables.exclusions["reason"].str.contains("01. Mai", regex=False).any()


def test_columns_that_are_not_there_are_missing_from_the_dictionary(
    form: Format, tmp_path: Path
) -> None:
    tables = read(form, write([[row[0]] for row in form.rows], tmp_path / "c.tsv"))
    assert set(tables.patients["patient_id"]) == set(form.expected)
    assert "breslow" not in tables.dictionary
    with pytest.raises(DataError, match="no column for breslow"):
        read(form, tmp_path / "c.tsv", columns=["breslow"])


def test_what_is_not_understood_is_listed(form: Format, tmp_path: Path) -> None:
    rows = [
        [*row, "shoe size" if k < form.header_lines else "42"] for k, row in enumerate(form.rows)
    ]
    if form.header_lines == 3:
        rows[2][-1] = "CDE_ID:9"
    assert "c.tsv: shoe size" in read(form, write(rows, tmp_path / "c.tsv")).unmapped


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("gdc", "cbioportal"), ("biotab", "xena"), ("xena", "gdc"), ("xena", "biotab")],
)
def test_the_wrong_file_is_named(given: str, wanted: str, tmp_path: Path) -> None:
    path = write(FORMATS[given].rows, tmp_path / "c.tsv")
    with pytest.raises(DataError, match=f"it looks like .*{given}"):
        read(FORMATS[wanted], path)


@pytest.mark.parametrize("barcode", ["{p}", "{p}-06", "{p}-06A", "{p}-06A-11R-A18S-07"])
def test_every_form_of_barcode(barcode: str, tmp_path: Path) -> None:
    rows = [["sampleID", "gender"]]
    for patient in PEOPLE:
        text = barcode.format(p=patient)
        rows.append([text.replace("-", "."), "MALE"])
    tables = read(FORMATS["xena"], write(rows, tmp_path / "c.tsv"))
    assert sorted(tables.patients["patient_id"]) == sorted(PEOPLE)
    has_specimen = "06" in barcode
    assert ("specimen_type" in tables.dictionary) == has_specimen


def test_ids_that_are_no_barcodes_are_refused_among_barcodes(tmp_path: Path) -> None:
    rows = [["sampleID", "gender"], ["TCGA-XX-0001-01", "MALE"], ["P7", "MALE"]]
    with pytest.raises(DataError, match=r"1 of 2 are no TCGA barcodes.*'P7'"):
        read(FORMATS["xena"], write(rows, tmp_path / "c.tsv"))


def test_ids_of_other_studies(tmp_path: Path) -> None:
    """A cBioPortal study that is not TCGA: ids as they are, specimens by their type."""
    rows = [
        ["SAMPLE_ID", "PATIENT_ID", "SAMPLE_TYPE", "AGE"],
        ["Pat1_a", "Pat1", "Metastasis", "40"],
        ["Pat1_b", "Pat1", "Primary", "40"],
        ["Pat2_a", "Pat2", "Metastasis", "50"],
    ]
    tables = read(FORMATS["cbioportal"], write(rows, tmp_path / "c.tsv"))
    assert tables.patients["patient_id"].tolist() == ["Pat1", "Pat2"]
    assert tables.patients["specimen_type"].tolist() == ["primary", "metastatic"]
    assert tables.exclusions["id"].tolist() == ["Pat1_a"]


@pytest.mark.parametrize(("prefer", "kept"), [("primary", "primary"), ("metastatic", "metastatic")])
def test_of_two_specimens_the_preferred_one_counts(prefer: str, kept: str, tmp_path: Path) -> None:
    rows = [
        ["sampleID", "gender"],
        ["TCGA-XX-0001-06", "MALE"],
        ["TCGA-XX-0001-01", "MALE"],
        ["TCGA-XX-0001-07", "MALE"],
        ["TCGA-XX-0001-11", "MALE"],
    ]
    tables = read(FORMATS["xena"], write(rows, tmp_path / "c.tsv"), prefer=prefer)
    assert tables.patients["specimen_type"].tolist() == [kept]
    assert len(tables.exclusions) == 3
    assert tables.exclusions["reason"].str.contains("tissue normal").sum() == 1


def test_a_type_that_contradicts_the_barcode_is_reported(tmp_path: Path) -> None:
    rows = [["sampleID", "sample_type"], ["TCGA-XX-0001-06", "Primary Tumor"]]
    tables = read(FORMATS["xena"], write(rows, tmp_path / "c.tsv"))
    assert tables.patients["specimen_type"].tolist() == ["metastatic"]
    (reason,) = tables.exclusions["reason"]
    assert reason == "specimen_type: metastatic by its barcode kept, c.tsv says primary"


def test_study_files_have_comment_lines(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(
        "#Patient\tSex\n#The id\tSex # of them\n#STRING\tSTRING\n#1\t1\nPATIENT_ID\tSEX\n"
        "TCGA-XX-0001\tMale\nTCGA-XX-0002\tFemale\n"
    )
    (tmp_path / "s.txt").write_text(
        "#Patient\tSample\n#\t\n#STRING\tSTRING\n#1\t1\nPATIENT_ID\tSAMPLE_ID\tTMB_NONSYNONYMOUS\n"
        "TCGA-XX-0001\tTCGA-XX-0001-06\t12.5\nTCGA-XX-0002\tTCGA-XX-0002-01\t#\n"
    )
    source = SOURCES["cbioportal"](kind="cbioportal", clinical=["p.txt", "s.txt"])
    patients = source.read(ReadContext(tmp_path, tmp_path)).patients.set_index("patient_id")
    assert patients["sex"].to_dict() == {"TCGA-XX-0001": "male", "TCGA-XX-0002": "female"}
    assert patients.loc["TCGA-XX-0001", "tmb"] == 12.5
    assert patients["specimen_type"].tolist() == ["metastatic", "primary"]


def test_two_tables_that_differ_are_reported(tmp_path: Path) -> None:
    write([["PATIENT_ID", "SEX"], ["TCGA-XX-0001", "Male"]], tmp_path / "a.txt")
    write([["PATIENT_ID", "SEX"], ["TCGA-XX-0001", "Female"]], tmp_path / "b.txt")
    source = SOURCES["cbioportal"](kind="cbioportal", clinical=["a.txt", "b.txt"])
    tables = source.read(ReadContext(tmp_path, tmp_path))
    assert tables.patients["sex"].tolist() == ["male"]
    assert tables.exclusions["reason"].tolist() == [
        "sex: male kept (source listed first), others say female"
    ]


@needs_shared
def test_the_portals_table_as_it_is() -> None:
    """Counts of the public table: 371 metastases and 109 primaries of 471 patients."""
    name = "cbioportal_skcm_tcga_clinical_480x90.tsv"
    source = SOURCES["cbioportal"](kind="cbioportal", clinical=[name])
    tables = source.read(ReadContext(TCGA, TCGA))
    patients = tables.patients
    assert len(patients) == 471
    assert patients["specimen_type"].value_counts().to_dict() == {"metastatic": 362, "primary": 109}
    assert (tables.exclusions["entity"] == "specimen").sum() == 9
    assert patients["breslow"].notna().sum() > 350
    assert patients["mutation_count"].notna().sum() > 300
    assert len(tables.unmapped) > 50


@needs_shared
def test_the_biotab_tables_as_they_are() -> None:
    prefix = "gdc_biotab/gdc_clinical_"
    source = SOURCES["biotab"](
        kind="biotab",
        patient=f"{prefix}patient_skcm.txt",
        new_tumor_events=f"{prefix}nte_skcm.txt",
        follow_up=[f"{prefix}follow_up_v2.0_skcm.txt"],
    )
    read = source.read(ReadContext(TCGA, TCGA))
    undecided = read.gaps.query("column == 'distant_metastasis'")
    assert undecided["reason"].value_counts().to_dict() == {"event_of_unknown_kind": 107}
    patients = read.patients
    assert len(patients) == 470
    assert patients["distant_metastasis"].value_counts().to_dict() == {1.0: 205, 0.0: 153}
    assert patients["vital_status"].sum() == 223  # as in cBioPortal's table
    m_stage = patients["m_stage"].dropna()
    assert (len(m_stage) - 1, (m_stage != "M0").sum()) == (441, 24)
    n_stage = patients["n_stage"].dropna()
    assert (n_stage != "N0").sum() == 178
    dated = patients["days_to_distant_metastasis"].dropna()
    assert (dated > 0).all()
