"""Expression and mutations, specimen by specimen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import DataError
from featurestore.sources import SOURCES
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.expression_matrix import PatientColumns, open_matrix
from featurestore.sources.expression_matrix import read_expression as read_matrix
from featurestore.sources.mutations import open_mutations
from featurestore.sources.mutations import read_mutations as read_maf

SAMPLES = {"TCGA-XX-0001": "TCGA-XX-0001-01", "TCGA-XX-0002": "TCGA-XX-0002-06"}
CLINICAL = (
    "Sample ID\tMutation Count\nTCGA-XX-0001-01\t2\nTCGA-XX-0001-06\t9\nTCGA-XX-0002-06\tNA\n"
)


def read_expression(
    path: Path, samples: dict[str, str], genes: list[str] | None, kind: str
) -> PatientColumns:
    return read_matrix(open_matrix(path, kind), samples, genes)


def read_mutations(
    path: Path, samples: dict[str, str], genes: list[str], kind: str
) -> PatientColumns:
    return read_maf(open_mutations(path, kind), samples, genes)


def matrix(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "e.tsv"
    path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n")
    return path


HEADER = "Hugo_Symbol Entrez_Gene_Id TCGA-XX-0001-01 TCGA-XX-0001-06 TCGA-XX-0002-06A-11R-A18S-07"


def test_counts_become_logarithms_of_the_specimen_that_counts(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "MITF 1 1023 7 NA", "TYR 2 0 3 31")
    read = read_expression(path, SAMPLES, None, "cbioportal")
    assert read.dictionary.names == ["expr_MITF", "expr_TYR"]
    assert read.dictionary["expr_TYR"].unit == "log2(x+1)"
    np.testing.assert_array_equal(read.values.loc[list(SAMPLES)], [[10.0, 0.0], [np.nan, 5.0]])
    left_out = read.exclusions[read.exclusions["entity"] == "specimen"]
    assert left_out["id"].tolist() == ["TCGA-XX-0001-06"]


def test_logarithms_stay(tmp_path: Path) -> None:
    path = matrix(tmp_path, "sample TCGA.XX.0001.01 TCGA.XX.0002.06", "MITF 10.5 3", "TYR 0 2.25")
    read = read_expression(path, SAMPLES, ["MITF"], "xena")
    np.testing.assert_array_equal(read.values["expr_MITF"], [10.5, 3.0])
    assert "log2(x+1) in the file" in read.dictionary["expr_MITF"].source_column


def test_a_gene_that_stands_twice_counts_once(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "MITF 1 1 1 1", "MITF 1 3 3 3", "NA 9 5 5 5")
    read = read_expression(path, SAMPLES, None, "cbioportal")
    np.testing.assert_array_equal(read.values["expr_MITF"], [3.0, 3.0])
    assert read.exclusions["reason"].str.contains("greatest sum kept").sum() == 1


def test_z_scores_are_refused(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "MITF 1 -0.5 0.1 0.4")
    with pytest.raises(DataError, match="z-scores depend on who else"):
        read_expression(path, SAMPLES, None, "cbioportal")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER.replace("Hugo_Symbol", "what"), "MITF 1 1 1 1"), "e.tsv"),
        (("Hugo_Symbol TCGA-ZZ-0009-01", "MITF 1"), "none of its 1 columns is a specimen"),
        ((HEADER, "MITF 1 1 1 1"), "there are no genes NOPE"),
    ],
)
def test_what_does_not_fit_is_one_line(lines: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read_expression(matrix(tmp_path, *lines), SAMPLES, ["NOPE"], "cbioportal")
    assert "\n" not in str(caught.value)


MAF = (
    "#version 2.4\nHugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\n"
    "BRAF\tMissense_Mutation\tTCGA-XX-0001-01A-11D-A000-08\n"
    "BRAF\tMissense_Mutation\tTCGA-XX-0001-06A-11D-A000-08\n"
    "NRAS\tSilent\tTCGA-XX-0001-01A-11D-A000-08\n"
    "TP53\tNonsense_Mutation\tTCGA-XX-0001-01A-11D-A000-08\n"
)


def test_sequenced_specimens_have_zeros_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.maf").write_text(MAF)
    read = read_mutations(tmp_path / "m.maf", SAMPLES, ["BRAF", "NRAS"], "cbioportal")
    assert read.values.to_dict("index") == {
        "TCGA-XX-0001": {"mutation_count": 2.0, "mut_BRAF": 1.0, "mut_NRAS": 0.0}
    }
    assert "TCGA-XX-0002-06" in set(read.exclusions["id"])
    assert "TCGA-XX-0001-06" in set(read.exclusions["id"])


def test_a_maf_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.maf").write_text(MAF.replace("XX", "ZZ"))
    with pytest.raises(DataError, match="none of its specimens is in the clinical table"):
        read_mutations(tmp_path / "m.maf", SAMPLES, ["BRAF"], "cbioportal")
    (tmp_path / "c.tsv").write_text(CLINICAL)
    with pytest.raises(DataError, match=r"c\.tsv"):
        read_mutations(tmp_path / "c.tsv", SAMPLES, ["BRAF"], "cbioportal")


def whole(tmp_path: Path) -> SourceTables:
    (tmp_path / "c.tsv").write_text(CLINICAL)
    (tmp_path / "m.maf").write_text(MAF + "TP53\tFrame_Shift_Del\tTCGA-XX-0001-01A-11D-A000-08\n")
    matrix(tmp_path, HEADER, "MITF 1 1023 7 3")
    source = SOURCES["cbioportal"](
        kind="cbioportal", clinical=["c.tsv"], mutations="m.maf", expression="e.tsv", genes=["BRAF"]
    )
    return source.read(ReadContext(tmp_path, tmp_path))


def test_everything_is_joined_by_specimen(tmp_path: Path) -> None:
    patients = whole(tmp_path).patients.set_index("patient_id")
    assert patients["specimen_type"].to_dict() == {
        "TCGA-XX-0001": "primary",
        "TCGA-XX-0002": "metastatic",
    }
    np.testing.assert_array_equal(patients["expr_MITF"], [10.0, 2.0])
    np.testing.assert_array_equal(patients["mut_BRAF"], [1.0, np.nan])


PEOPLE = (
    "PATIENT_ID\tAGE\tPATH_N_STAGE\nTCGA-XX-0001\t50\tN0\n"
    "TCGA-XX-0002\t60\tN1\nTCGA-XX-0003\t70\tN0\n"
)


def of_people(tmp_path: Path, prefer: str = "primary", **files: str) -> SourceTables:
    (tmp_path / "p.txt").write_text(PEOPLE)
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text.replace(" ", "\t"))
    source = SOURCES["cbioportal"](
        kind="cbioportal",
        clinical=["p.txt"],
        prefer=prefer,
        genes=["BRAF", "NRAS", "KIT"],
        **{name: f"{name}.txt" for name in files},
    )
    return source.read(ReadContext(tmp_path, tmp_path))


def test_patients_known_as_persons_get_the_preferred_specimen(tmp_path: Path) -> None:
    matrix = (
        "Hugo_Symbol TCGA-XX-0001-01A-11R TCGA-XX-0001-06A TCGA-XX-0002-11 TCGA-XX-0002-06\n"
        "MITF 1023 7 255 3\nTYR 1.5 2 3 4\n"
    )
    for prefer, value in (("primary", 10.0), ("metastatic", 3.0)):
        tables = of_people(tmp_path, prefer, expression=matrix)
        people = tables.patients.set_index("patient_id")
        # Normal tissue (11) is no specimen, and of a patient without a column nothing is known.
        np.testing.assert_array_equal(people["expr_MITF"], [value, 2.0, np.nan])
        assert people.loc["TCGA-XX-0002", "sample_id"] == "TCGA-XX-0002-06"


def test_two_genomic_files_speak_of_one_specimen(tmp_path: Path) -> None:
    matrix = "Hugo_Symbol TCGA-XX-0001-01 TCGA-XX-0001-06\nMITF 1023 7\nTYR 1.5 2\n"
    maf = (
        "Hugo_Symbol Tumor_Sample_Barcode Variant_Classification\n"
        "BRAF TCGA-XX-0001-06 Missense_Mutation\n"
    )
    people = of_people(tmp_path, expression=matrix, mutations=maf).patients
    assert people.loc[0, "sample_id"] == "TCGA-XX-0001-06"
    assert people.loc[0, ["expr_MITF", "mut_BRAF"]].tolist() == [3.0, 1.0]


def test_matrices_of_patients_join_specimens(tmp_path: Path) -> None:
    path = matrix(tmp_path, "Hugo_Symbol TCGA-XX-0001 TCGA-XX-0002", "MITF 1023 3", "TYR 1.5 2")
    read = read_expression(path, SAMPLES, None, "cbioportal")
    np.testing.assert_array_equal(read.values["expr_MITF"], [10.0, 2.0])


def test_absence_of_a_record_is_no_negative(tmp_path: Path) -> None:
    maf = (
        "Hugo_Symbol Tumor_Sample_Barcode Variant_Classification\n"
        "BRAF TCGA-XX-0001-06 Missense_Mutation\nNRAS TCGA-XX-0002-06 Silent\n"
    )
    tables = of_people(tmp_path, mutations=maf)
    people = tables.patients
    assert "mut_KIT" not in people
    assert "mut_KIT" not in tables.dictionary
    np.testing.assert_array_equal(people["mut_NRAS"], [0, 0, np.nan])  # sequenced: Silent names it
    np.testing.assert_array_equal(people["mutation_count"], [1, 0, np.nan])  # 0003 has no record
    gene = tables.exclusions[tables.exclusions["id"] == "KIT"]
    assert gene["reason"].str.contains("whether it was sequenced is unknown").all()


@pytest.mark.parametrize(
    ("records", "nras", "count"),
    [
        ("NRAS TCGA-XX-0001-06 Missense_Mutation", [1, np.nan, np.nan], [1, np.nan, np.nan]),
        ("NRAS TCGA-XX-0002-06 Silent", [np.nan, 0, np.nan], [np.nan, 0, np.nan]),
        (
            "TTN TCGA-XX-0003-06 Nonsense_Mutation\nNRAS TCGA-XX-0001-06 Missense_Mutation",
            [1, np.nan, 0],
            [1, np.nan, 1],
        ),
    ],
)
def test_only_a_specimen_with_a_record_was_sequenced(
    tmp_path: Path, records: str, nras: list[float], count: list[float]
) -> None:
    header = "Hugo_Symbol Tumor_Sample_Barcode Variant_Classification\n"
    people = of_people(tmp_path, mutations=f"{header}{records}\n").patients
    np.testing.assert_array_equal(people["mut_NRAS"], nras)
    np.testing.assert_array_equal(people["mutation_count"], count)
    assert "mut_BRAF" not in people  # no record names it


@pytest.mark.parametrize("genes", [None, ["IFNG"], ["MITF"]])
def test_the_scale_is_that_of_the_file(tmp_path: Path, genes: list[str] | None) -> None:
    path = matrix(tmp_path, HEADER, "IFNG 1 3.5 9.5 7.25", "MITF 1 9000.5 4 15")
    wanted = ["IFNG", "MITF"] if genes is None else genes
    read = read_expression(path, SAMPLES, genes, "cbioportal")
    expected = {"IFNG": np.log2([4.5, 8.25]), "MITF": np.log2([9001.5, 16])}
    for gene in wanted:
        np.testing.assert_allclose(read.values[f"expr_{gene}"], expected[gene])
    assert "the greatest value of the whole file is 9,000.5" in read.notes[0]


def test_the_scale_does_not_depend_on_the_patients(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "IFNG 1 3.5 9000.5 7.25", "TYR 1 1 4 15")
    read = read_expression(path, {"TCGA-XX-0001": "TCGA-XX-0001-01"}, None, "cbioportal")
    np.testing.assert_allclose(read.values["expr_IFNG"], np.log2([4.5]))


def test_the_few_negative_values_of_corrected_counts_are_zero(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "IFNG 1 -2.2 9.5 7", "MITF 1 9000.5 4 15", "TYR 1 3 3 -0.1")
    read = read_expression(path, SAMPLES, ["IFNG"], "cbioportal")
    np.testing.assert_array_equal(read.values["expr_IFNG"], [0.0, 3.0])
    assert "2 of its 9 values are negative" in read.notes[0]


@pytest.mark.parametrize(
    "rows",
    [
        ["IFNG 1 -2.2 0.4 1.9", "MITF 1 0.5 -0.7 33.1"],  # z-scores with one outlier
        ["IFNG 1 -9.97 2.5 3", "MITF 1 8.5 7.25 6"],  # log2(x + 0.001)
        ["IFNG 1 -2000 9000.5 7", "MITF 1 1 2 3"],  # no correction is that large
    ],
)
def test_other_negative_values_are_refused(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(DataError, match=r"values are negative .*: z-scores depend on who else"):
        read_expression(matrix(tmp_path, HEADER, *rows), SAMPLES, None, "cbioportal")


def test_marks_of_a_matrix_mean_the_same_in_every_sample(tmp_path: Path) -> None:
    path = matrix(tmp_path, HEADER, "IFNG 1 1,234 2 0,5", "TYR 2 2,345 3 7")
    read = read_expression(path, SAMPLES, None, "cbioportal")
    np.testing.assert_array_equal(read.values["expr_IFNG"], [1.234, 0.5])


def test_two_files_that_count_differently_are_reported(tmp_path: Path) -> None:
    tables = whole(tmp_path)
    assert tables.patients["mutation_count"].tolist()[0] == 2
    reasons = tables.exclusions["reason"]
    assert (reasons == "mutation_count: 2 kept, m.maf says 3").sum() == 1
