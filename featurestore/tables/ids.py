"""What every table must have: its columns, and ids that stand once and are spelled alike."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from decimal import Decimal

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables.barcodes import parse_barcode

_WHOLE = re.compile(r"\d+(?:\.0*)?|\d(?:\.\d+)?[eE]\+?\d{1,2}")
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")


def spelled_ids(texts: pd.Series) -> pd.Series:
    """Ids in one spelling, whatever program wrote them.

    Characters that cannot be seen are left out and accents are composed (NFC); a column of numbers
    loses the `.0` and exponents of programs that took ids for measurements; TCGA barcodes get
    dashes and capitals.

    Args:
        texts: Text; missing stays missing.
    """
    single = {}
    known = [str(text) for text in texts.dropna().unique()]
    for text in known:
        single[text] = unicodedata.normalize("NFC", _INVISIBLE.sub("", text)).strip()
    if known and all(_WHOLE.fullmatch(text) for text in single.values()):
        single = {text: _whole(clean) for text, clean in single.items()}
    elif known and all(parse_barcode(text) for text in single.values()):
        single = {text: clean.upper().replace(".", "-") for text, clean in single.items()}
    return texts.map(single, na_action="ignore").astype("str")


def _whole(text: str) -> str:
    """`100.0` and `1e2` as `100`; zeros in front stay."""
    if text.isdigit():
        return text
    number = Decimal(text)
    if number != number.to_integral_value():
        return text
    return text.partition(".")[0] if "e" not in text.lower() else str(int(number))


def require_columns(table: pd.DataFrame, names: tuple[str, ...] | list[str], where: str) -> None:
    """Raises DataError if `table` lacks any of the columns."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(f"{where} lacks the columns {name_some(missing)}")


def require_unique(ids: pd.Series, what: str) -> None:
    """Raises DataError that names the ids which stand more than once."""
    repeated = sorted(set(ids[ids.duplicated()].astype(str)))
    if repeated:
        raise DataError(f"duplicate {what}: {name_some(repeated)}")


def ids_by_content(table: pd.DataFrame) -> list[str]:
    """An id for each row out of its cells, whatever the order of rows and columns.

    Rows that are equal in all cells are told apart by a count.
    """
    texts = table[sorted(table.columns)].map(str).agg("\t".join, axis=1)
    digests = [f"row-{hashlib.sha256(text.encode()).hexdigest()[:10]}" for text in texts]
    again = pd.Series(digests).groupby(digests).cumcount()
    return [d if not k else f"{d}-{k + 1}" for d, k in zip(digests, again, strict=True)]
