"""The canonical vocabulary: what clinical and genomic columns are called in every source.

A reader maps a file's headers to these names; how a text becomes a value is decided here, once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.tables.dictionary import Column
from featurestore.tables.parsing import parse_numbers
from featurestore.tables.term_readers import Term, binary
from featurestore.tables.terms import VOCABULARY

__all__ = ["GENE_PREFIXES", "VOCABULARY", "Term", "find_term", "levels_of"]

GENE_PREFIXES = {"mut_": "mutation", "expr_": "expression"}
"""Prefix of a gene's column and its group."""


def find_term(name: str) -> Term:
    """Looks a canonical column up; `mut_GENE` and `expr_GENE` exist for every gene.

    Raises:
        DataError: There is no such column.
    """
    if name in VOCABULARY:
        return VOCABULARY[name]
    for prefix, group in GENE_PREFIXES.items():
        gene = name.removeprefix(prefix)
        if name.startswith(prefix) and gene:
            return _mutated(name, gene) if group == "mutation" else _expressed(name, gene)
    raise DataError(f"no canonical column {name!r}; known: {', '.join(VOCABULARY)}, mut_*, expr_*")


def _mutated(name: str, gene: str) -> Term:
    column = Column(name, "binary", "mutation", f"{gene} mutated", measured="specimen")
    return Term(column, binary)


def _expressed(name: str, gene: str) -> Term:
    unit = "log2(x+1)"
    column = Column(name, "expression", "expression", gene, unit, measured="specimen")
    return Term(column, parse_numbers)


def levels_of(values: pd.Series) -> tuple[str, ...]:
    """Levels of a nominal column that are there, sorted."""
    known = values.dropna()
    return tuple(sorted(str(v) for v in np.unique(known.astype(str)))) if len(known) else ()
