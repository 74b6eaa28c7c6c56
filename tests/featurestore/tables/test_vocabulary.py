"""The canonical vocabulary: every spelling of the public tables becomes its level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.tables.vocabulary import VOCABULARY, find_term


def _read(name: str, *texts: str | None) -> tuple[list[object], list[str]]:
    parsed = find_term(name).read(pd.Series(texts, dtype="str"), "file: column 'c'")
    values = [None if pd.isna(v) else v for v in parsed.values]
    return values, list(parsed.rejected)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stage", "Stage IIIC", "IIIC"),
        ("stage", "STAGE IV", "IV"),
        ("stage", "Stage 0", "0"),
        ("stage", "iib", "IIB"),
        ("t_stage", "T4b", "T4b"),
        ("t_stage", "pT1A", "T1a"),
        ("t_stage", "Tis", "Tis"),
        ("n_stage", "N2c", "N2c"),
        ("m_stage", "M1b", "M1b"),
        ("m_stage", "M0 (0)", "M0"),
        ("clark_level", "Level IV", "IV"),
        ("clark_level", "V", "V"),
        ("sex", "FEMALE", "female"),
        ("sex", "Male", "male"),
        ("race", "BLACK OR AFRICAN AMERICAN", "black or african american"),
        ("ulceration", "YES", 1.0),
        ("ulceration", "no", 0.0),
        ("tumour_site", "Head and Neck", "head and neck"),
        ("tumour_site", "Other  Specify", "other"),
        ("specimen_type", "Primary Solid Tumor", "primary"),
        ("specimen_type", "Additional Metastatic", "metastatic"),
        ("specimen_site", "Regional Lymph Node", "regional lymph node"),
        ("vital_status", "1:DECEASED", 1.0),
        ("vital_status", "Alive", 0.0),
        ("tumour_status", "WITH TUMOR", 1.0),
        ("new_tumor_event", "0:DiseaseFree", 0.0),
        ("ldh", "Elevated", "elevated"),
        ("mut_BRAF", "Yes", 1.0),
        ("breslow", "1.75", 1.75),
    ],
)
def test_spellings_become_levels(name: str, text: str, value: object) -> None:
    assert _read(name, text) == ([value], [])


@pytest.mark.parametrize(
    ("name", "text"),
    [("stage", "Stage X"), ("t_stage", "TX"), ("n_stage", "NX"), ("m_stage", "MX")],
)
def test_unassigned_is_missing_and_no_error(name: str, text: str) -> None:
    known = {"stage": "II", "t_stage": "T1", "n_stage": "N0", "m_stage": "M0"}[name]
    assert _read(name, text, known) == ([None, known], [])


def test_what_is_too_coarse_is_reported() -> None:
    assert _read("stage", "I/II NOS", "Stage I") == ([None, "I"], ["I/II NOS"])


def test_numbers_outside_reason_are_reported() -> None:
    values, rejected = _read("age", "54", "2958465", None)
    assert values == [54.0, None, None]
    assert rejected == ["2958465"]


def test_a_column_of_nothing_known_is_an_error() -> None:
    with pytest.raises(DataError, match=r"file: column 'c': none of its 2 values is understood"):
        _read("sex", "7", "8")


def test_every_level_of_a_term_is_read_as_itself() -> None:
    read = 0
    for term in VOCABULARY.values():
        for level in term.column.levels:
            assert _read(term.column.name, level) == ([level], [])
            read += 1
    assert read > 40


def test_every_term_says_when_it_is_known() -> None:
    assert {t.column.measured for t in VOCABULARY.values()} == {
        "diagnosis",
        "specimen",
        "follow_up",
    }


def test_genes_have_terms_and_other_names_have_none() -> None:
    assert find_term("mut_BRAF").column.kind == "binary"
    assert find_term("expr_MITF").column.unit == "log2(x+1)"
    for name in ("mut_", "thickness"):
        with pytest.raises(DataError, match="no canonical column"):
            find_term(name)


def test_all_terms_survive_a_column_of_gaps() -> None:
    empty = pd.Series([np.nan, np.nan], dtype="str")
    for name, term in VOCABULARY.items():
        assert term.read(empty, name).values.isna().all()
