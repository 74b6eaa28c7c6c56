"""Guesses which column holds patient ids: by its name, its content, and who else has them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from featurestore.errors import DataError
from featurestore.sources.joining import id_key
from featurestore.tables import spelled_ids
from featurestore.tables.barcodes import parse_barcode

# Preferred first, as `name_key` spells them.
_ID_NAMES = (
    *("patient_id", "patientid", "patient", "patient_barcode", "bcr_patient_barcode"),
    *("case_id", "case", "case_submitter_id", "subject_id", "subject"),
    *("participant_id", "participant", "mrn", "pid", "sample_id", "sample", "sampleid", "id"),
)
_LIKE_AN_ID = re.compile(r"(?:^|_)(?:id|nr|no|number|code|barcode|mrn|pid)$|^row_names$")
_DECIMAL = r"[+-]?\d*[.,]\d*[1-9]\d*"


@dataclasses.dataclass(frozen=True)
class IdGuess:
    """A column of patient ids.

    Attributes:
        column: Its name.
        why: Why it, in a sentence.
    """

    column: str
    why: str


def name_key(name: str) -> str:
    """A name in lower case with single underscores: `Breslow depth (mm)` is `breslow_depth_mm`."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def join_key(text: str) -> str:
    """What ids of one patient have in common in any table: barcodes name the patient."""
    code = parse_barcode(text)
    return id_key(text) if code is None else code.patient


def joining_columns(known: Mapping[str, pd.Series]) -> dict[str, set[str]]:
    """Columns by which rows may be joined to other tables, with their ids (`join_key`).

    Args:
        known: Text of every column, NaN where missing.
    """
    return {
        name: {join_key(t) for t in spelled_ids(text)}
        for name, text in _whole(known).items()
        if name_key(name) in _ID_NAMES
        or _LIKE_AN_ID.search(name_key(name))
        or (text.is_unique and not text.str.fullmatch(_DECIMAL).any())
    }


def guess_id(
    known: Mapping[str, pd.Series],
    path: Path,
    image_id: str | None,
    others: Sequence[Collection[str]] = (),
) -> IdGuess:
    """The column of patient ids.

    Args:
        known: Text of every column, NaN where missing.
        path: The file, for messages.
        image_id: Column of image ids where there is one.
        others: Ids in each column of other tables that may join.

    Raises:
        DataError: No column can hold patient ids.
    """
    own = _by_itself(known, path, image_id)
    columns = joining_columns(known)
    if own.column not in columns or not others:
        return own
    shared = {name: max(len(ids & set(o)) for o in others) for name, ids in columns.items()}
    least = len(columns[own.column])
    # A finer column would make several people of one.
    allowed = [name for name, ids in columns.items() if len(ids) <= least and name != image_id]
    best = max(
        allowed or [own.column],
        key=lambda n: (not _counts_up(columns[n]) and shared[n] > 0, shared[n], n == own.column),
    )
    if best == own.column or shared[best] < max(1, shared[own.column] // 2):
        return own
    return IdGuess(
        best,
        f"patient ids are in {best!r}: {shared[best]:,} of its {len(columns[best]):,} are in "
        f"another table, of those in {own.column!r} {shared[own.column]:,}",
    )


def _by_itself(known: Mapping[str, pd.Series], path: Path, image_id: str | None) -> IdGuess:
    whole = _whole(known)
    for wanted in _ID_NAMES:
        for name in whole:
            if name_key(name) == wanted:
                return IdGuess(name, f"patient ids are in {name!r}, by its name")
    for name, text in whole.items():
        if text.map(lambda t: parse_barcode(t) is not None).all():
            return IdGuess(name, f"patient ids are in {name!r}: all are TCGA barcodes")
    if image_id is not None:
        return IdGuess(
            image_id, f"no column of patient ids: every image of {image_id!r} is its own patient"
        )
    for name, text in whole.items():
        if text.is_unique and not text.str.fullmatch(_DECIMAL).any():
            return IdGuess(
                name, f"patient ids may be in {name!r}: the first that is never empty nor twice"
            )
    raise DataError(f"{path}: no column can hold patient ids: all have gaps or repeated values")


def _whole(known: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    return {name: text for name, text in known.items() if text.notna().all() and len(text)}


def _counts_up(ids: Collection[str]) -> bool:
    """Whether ids are running numbers, which any table may have."""
    if not all(text.isdigit() for text in ids):
        return False
    numbers = sorted(int(text) for text in ids)
    return len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1
