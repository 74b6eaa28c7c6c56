"""TCGA barcodes: patient, specimen, vial, aliquot and tissue source site out of one text.

`TCGA-D3-A1QA` is a patient, `…-06` its metastatic specimen, `…-06A` one vial of it, and the 28
characters of `…-06A-11R-A18S-07` one aliquot. R turns the dashes into dots.

Source: https://docs.gdc.cancer.gov/Encyclopedia/pages/TCGA_Barcode/ and its code tables.
"""

from __future__ import annotations

import dataclasses
import re

import pandas as pd

from featurestore.errors import DataError, name_some

PATIENT_LENGTH = 12

SPECIMEN_TYPES: dict[int, str] = {
    1: "primary",
    2: "recurrent",
    3: "primary blood cancer",
    5: "additional primary",
    6: "metastatic",
    7: "metastatic",
    10: "blood normal",
    11: "tissue normal",
    12: "buccal normal",
    13: "immortalised normal",
    14: "bone marrow normal",
    20: "control",
    40: "recurrent blood cancer",
    50: "cell line",
    60: "xenograft",
    61: "xenograft",
}
"""What a specimen is by the two digits after the patient; 7 is an additional metastasis."""

TUMOUR_TYPES = frozenset({1, 2, 5, 6, 7})
"""Specimens of solid tumour, as opposed to normal tissue and controls."""

_BARCODE = re.compile(
    r"TCGA[-.]([A-Z0-9]{2})[-.]([A-Z0-9]{4})"
    r"(?:[-.](\d{2})(?:([A-Z])(?:[-.](\d{2})([A-Z])(?:[-.]([A-Z0-9]{4})(?:[-.](\d{2}))?)?)?)?)?"
)


@dataclasses.dataclass(frozen=True)
class Barcode:
    """A parsed barcode.

    Attributes:
        patient: The first 12 characters, in upper case with dashes.
        sample: The first 15 characters, or None for a patient's barcode.
        sample_type: The two digits of the specimen type, or None.
        vial: Letter of the vial, or None.
        site: Tissue source site, the two characters after `TCGA-`.
    """

    patient: str
    sample: str | None
    sample_type: int | None
    vial: str | None
    site: str


def parse_barcode(text: str) -> Barcode | None:
    """Reads a barcode of 12, 15, 16, 20, 25 or 28 characters; None if the text is none."""
    match = _BARCODE.fullmatch(text.strip().upper())
    if match is None:
        return None
    site, person, sample_type, vial, *_ = match.groups()
    patient = f"TCGA-{site}-{person}"
    if sample_type is None:
        return Barcode(patient, None, None, None, site)
    return Barcode(patient, f"{patient}-{sample_type}", int(sample_type), vial, site)


def read_barcodes(texts: pd.Series, where: str) -> pd.DataFrame:
    """Reads a column of barcodes.

    Args:
        texts: Text; missing is not allowed.
        where: File and column, for messages.

    Returns:
        Table `patient_id, sample_id, sample_type, vial, site` with the index of `texts`;
        `sample_id` and `vial` are NaN and `sample_type` is <NA> for barcodes of patients.

    Raises:
        DataError: A text is no barcode.
    """
    parsed = [None if pd.isna(text) else parse_barcode(str(text)) for text in texts]
    bad = [str(text) for text, code in zip(texts, parsed, strict=True) if code is None]
    if bad:
        raise DataError(
            f"{where}: {len(bad)} of {len(texts)} are no TCGA barcodes "
            f"(TCGA-XX-XXXX, with -01 or -06 for a specimen): {name_some([repr(b) for b in bad])}"
        )
    codes = [code for code in parsed if code is not None]
    return pd.DataFrame(
        {
            "patient_id": pd.Series([c.patient for c in codes], index=texts.index, dtype="str"),
            "sample_id": pd.Series([c.sample for c in codes], index=texts.index, dtype="str"),
            "sample_type": pd.Series(
                [c.sample_type for c in codes], index=texts.index, dtype="Int64"
            ),
            "vial": pd.Series([c.vial for c in codes], index=texts.index, dtype="str"),
            "site": pd.Series([c.site for c in codes], index=texts.index, dtype="str"),
        }
    )
