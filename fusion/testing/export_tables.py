"""Tables that no format likes, for hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from featurestore.export import ColumnNote, ExportTable
from featurestore.tables import Column
from featurestore.tables.gaps import REASONS

LEVELS = ("I", "II é", "=III", "ünknown " * 20)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("if", "IF", "double", "_n", "ALL", "with", "str12", "repeat", "TRUE", "_N", "by"),
            *("a", "A", "á", "Á", "x.1", "x 1", "x_1", "1x", "-", "mut_BRAF", "expr_SEPT9", "🦠"),
            *("n" * 64, "N" * 64, "n" * 63 + "m", "gene_" * 13, "Größe (mm)", "x" * 200),
        ]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=70),
)
TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "x ", "=1+1", "-2", "'=1", "SEPT9", "MARCH1", "1-Mar", "NA", "ä\n,\"'"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=12),
    st.just("é" * 1500),
    st.just("q" * 40_000),
)
NUMBERS = st.one_of(
    st.none(),
    st.floats(),
    st.sampled_from([5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53 + 2, 1e-80, 7.3e75, -91.0]),
)
WHOLE = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2_147_483_621, 2_147_483_647, 2**53, 2**53 + 1, -99]),
)
DATES = st.one_of(
    st.none(), st.dates(min_value=pd.Timestamp("1001-01-01").date()).map(lambda d: d.isoformat())
)
CODES = st.one_of(st.none(), st.sampled_from([0.0, 1.0]))
REASON_CODES = st.integers(0, len(REASONS))

_KINDS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "text": (TEXTS, "str"),
    "number": (NUMBERS, "float64"),
    "whole": (WHOLE, "int64"),
    "flag": (st.booleans(), "bool"),
    "date": (DATES, "str"),
    "level": (st.one_of(st.none(), st.sampled_from(LEVELS)), "str"),
    "binary": (CODES, "float64"),
    "no text": (st.none(), "str"),
    "no number": (st.none(), "float64"),
}


@st.composite
def tables(draw: st.DrawFn) -> ExportTable:
    """A table with any names and values."""
    n = draw(st.integers(0, 6))
    names = draw(st.lists(NAMES, min_size=1, max_size=7, unique=True))
    frame, columns, notes, reasons = {}, {}, {}, {}
    for name in names:
        kind = draw(st.sampled_from(sorted(_KINDS)))
        values, dtype = _KINDS[kind]
        frame[name] = pd.Series(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)
        reasons[name] = np.array(draw(st.lists(REASON_CODES, min_size=n, max_size=n)), dtype=int)
        label = draw(st.sampled_from([name, "Größe 🦠 " * 40, "x"]))
        if kind == "level":
            columns[name] = Column(name, "ordinal", "g", label, levels=LEVELS)
        elif kind == "binary":
            columns[name] = Column(name, "binary", "g", label, unit="mm")
        else:
            notes[name] = ColumnNote(label, note="a note")
    made = pd.DataFrame(frame)
    return ExportTable("t", made, columns, notes, "Größe " * 20, reasons=reasons)


def noted(frame: pd.DataFrame, name: str = "t") -> ExportTable:
    """A table whose labels are its names."""
    return ExportTable(name, frame, notes={str(c): ColumnNote(str(c)) for c in frame.columns})
