"""Matrices of genes by samples: one row a gene, and numbers out of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.tables.parsing import known_text, parse_numbers

_STAGE = "read"


def one_row_a_gene(
    names: pd.Series, values: pd.DataFrame, path: Path
) -> tuple[pd.Series, list[tuple[str, str, str, str]]]:
    """Chooses one row for every gene name: of several the one with the greatest sum.

    Args:
        names: Gene name of each row, as text.
        values: Text of the same rows; one column a sample.
        path: The file, for the exclusions.

    Returns:
        The gene name of each row that is kept (index of `values`), and rows for the exclusions
        table.
    """
    genes = known_text(names).values
    excluded: list[tuple[str, str, str, str]] = []
    keep = genes.notna() & ~genes.duplicated(keep=False)
    for gene in sorted(genes[genes.notna() & genes.duplicated()].unique()):
        copies = values.index[genes == gene]
        reason = (
            f"{len(copies)} rows of {path.name} have this gene name; the one of greatest sum kept"
        )
        keep |= keep.index == _greatest(values.loc[copies])
        excluded.append(("value", gene, _STAGE, reason))
    if genes.isna().any():
        count = int(genes.isna().sum())
        excluded.append(("value", "", _STAGE, f"{count} rows of {path.name} have no gene name"))
    return genes[keep], excluded


def _greatest(rows: pd.DataFrame) -> int:
    """Index of the row with the greatest sum; among equal sums the first as text."""
    sums = rows.apply(pd.to_numeric, errors="coerce").sum(axis=1)
    text = rows[sorted(rows.columns)].agg("\t".join, axis=1)
    order = pd.DataFrame({"sum": -sums, "text": text}).sort_values(["sum", "text"]).index
    return int(order[0])


def read_numbers(texts: pd.DataFrame, path: Path) -> tuple[np.ndarray, list[tuple[int, str, str]]]:
    """Floats (genes, samples) and the few cells (row, column, text) that are none."""
    columns = []
    rejected: list[tuple[int, str, str]] = []
    for sample in texts.columns:
        parsed = parse_numbers(known_text(texts[sample]).values, f"{path}: sample {sample!r}")
        columns.append(parsed.values.to_numpy())
        rejected += [
            (k, str(sample), text)
            for k, text in zip(parsed.rejected.index, parsed.rejected, strict=True)
        ]
    matrix = np.column_stack(columns) if columns else np.empty((len(texts), 0))
    return matrix, rejected
