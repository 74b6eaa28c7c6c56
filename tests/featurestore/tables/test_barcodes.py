"""TCGA barcodes in every length and spelling."""

from __future__ import annotations

import string

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables.barcodes import parse_barcode, read_barcodes

FORMS = (
    "TCGA-D3-A1QA",
    "TCGA-D3-A1QA-06",
    "TCGA-D3-A1QA-06A",
    "TCGA-D3-A1QA-06A-11R",
    "TCGA-D3-A1QA-06A-11R-A18S",
    "TCGA-D3-A1QA-06A-11R-A18S-07",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_every_form_names_the_same_patient(form: str, dotted: bool, lower: bool) -> None:
    text = form.replace("-", ".") if dotted else form
    code = parse_barcode(text.lower() if lower else text)
    assert code is not None
    assert code.patient == "TCGA-D3-A1QA"
    assert code.site == "D3"
    if len(form) == 12:
        assert (code.sample, code.sample_type, code.vial) == (None, None, None)
    else:
        assert (code.sample, code.sample_type) == ("TCGA-D3-A1QA-06", 6)
        assert code.vial == ("A" if len(form) > 15 else None)


@pytest.mark.parametrize(
    "text",
    ["", "TCGA", "TCGA-D3", "TCGA-D3-A1Q", "TCGA-D3-A1QA-6", "XTCGA-D3-A1QA", "TCGA-D3-A1QA-06AA"],
)
def test_what_is_no_barcode_is_none(text: str) -> None:
    assert parse_barcode(text) is None


@given(st.text(string.printable, max_size=40))
def test_any_text_is_a_barcode_or_none(text: str) -> None:
    code = parse_barcode(text)
    assert code is None or text.strip().upper().replace(".", "-").startswith(code.patient)


def test_a_column_of_barcodes_keeps_its_index() -> None:
    texts = pd.Series(["TCGA.D3.A1QA.06A", "TCGA-BF-A1PU"], index=[7, 3], dtype="str")
    codes = read_barcodes(texts, "f.tsv: column 'id'")
    assert list(codes.index) == [7, 3]
    assert list(codes["patient_id"]) == ["TCGA-D3-A1QA", "TCGA-BF-A1PU"]
    assert list(codes["site"]) == ["D3", "BF"]
    assert codes["sample_type"].tolist() == [6, pd.NA]


def test_other_ids_are_named() -> None:
    texts = pd.Series(["TCGA-D3-A1QA", "ISIC_0000001"], dtype="str")
    with pytest.raises(DataError, match=r"f: 1 of 2 are no TCGA barcodes .*'ISIC_0000001'"):
        read_barcodes(texts, "f")
