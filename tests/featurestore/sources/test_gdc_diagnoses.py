"""Of a case's diagnoses the one that the case is in the project for counts, whole."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from featurestore.sources import SOURCES
from featurestore.sources.base import ReadContext, SourceTables

HEADER = (
    "cases.submitter_id\tdemographic.age_at_index\tdiagnoses.age_at_diagnosis\t"
    "diagnoses.ajcc_pathologic_n\tdiagnoses.ajcc_pathologic_t\t{flag}\t{klass}\t{days}\ttreatment"
)
PRIMARY = "9500\tN1\t'--\ttrue\tprimary\t0"
PRIOR = "3000\tN3\tT4b\tfalse\tPrior primary\t-6500"
LATER = "9900\t'--\tT1a\tfalse\tmetastasis\t400"
NAMES = {
    "flag": "diagnoses.diagnosis_is_primary_disease",
    "klass": "diagnoses.classification_of_tumor",
    "days": "diagnoses.days_to_diagnosis",
}
PLACES = {"flag": 3, "klass": 4, "days": 5}


def read(folder: Path, rows: list[str], keep: set[str], dotted: bool = True) -> SourceTables:
    header = HEADER.format(**{k: n if k in keep else f"other_{k}" for k, n in NAMES.items()})
    lines = [header]
    for row in rows:
        cells = row.split("\t")
        for k, place in PLACES.items():
            if k not in keep:
                cells[place] = "'--"
        lines += [f"TCGA-D3-A001\t26\t{chr(9).join(cells)}\t{t}" for t in ("Surgery", "Drug")]
    text = "\n".join(lines) + "\n"
    if not dotted:
        text = text.replace("cases.submitter_id", "case_submitter_id")
        text = text.replace("diagnoses.", "").replace("demographic.", "")
    (folder / "clinical.tsv").write_text(text)
    source = SOURCES["gdc"](kind="gdc", clinical="clinical.tsv")
    return source.read(ReadContext(folder, folder))


@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("keep", [{"flag"}, {"klass"}, {"days"}, {"klass", "days"}, set(NAMES)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_each_column_alone_says_which(
    tmp_path: Path, keep: set[str], order: tuple[int, ...], dotted: bool
) -> None:
    rows = [(PRIMARY, PRIOR, LATER)[k] for k in order]
    tables = read(tmp_path, rows, keep, dotted)
    patient = tables.patients.iloc[0]
    assert patient["age"] == pytest.approx(9500 / 365.25, abs=1e-3)
    assert patient["n_stage"] == "N1"
    assert pd.isna(patient["t_stage"])  # not that of another diagnosis
    assert tables.exclusions.empty  # 26 full years are no other age than 26.01


def test_diagnoses_that_nothing_tells_apart_are_reported(tmp_path: Path) -> None:
    tables = read(tmp_path, [PRIOR, PRIMARY], set())
    assert tables.patients.loc[0, "n_stage"] == "N3"  # the first as text, and all of it
    assert tables.patients.loc[0, "age"] == pytest.approx(3000 / 365.25, abs=1e-3)
    assert tables.exclusions["reason"].str.startswith("2 diagnoses that nothing marks").any()


def test_an_age_that_differs_by_years_is_a_conflict(tmp_path: Path) -> None:
    tables = read(tmp_path, [PRIOR], set())
    assert tables.exclusions["reason"].str.contains("age_at_index says 26").sum() == 1


def test_ages_that_are_years_already_stay(tmp_path: Path) -> None:
    tables = read(tmp_path, [PRIMARY.replace("9500", "26")], set(NAMES))
    assert tables.patients["age"].tolist() == [26.0]
