"""Matrices of genes by samples: one row a gene, numbers out of text, and their scale.

What the numbers are is decided over the whole file, never over the genes or samples that a study
takes of it: a gene has one scale, whoever asks for it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from featurestore.errors import DataError
from featurestore.tables import known_text, parse_numbers
from featurestore.tables.numbers import Marks, find_marks
from featurestore.units import counted

LARGEST_LOGARITHM = 30.0
"""log2 of the reads of a whole sequencing run; values above are counts, not logarithms."""

MOST_NEGATIVE = 0.3
"""Share of values below zero that a correction for batches may leave in counts; of z-scores about
half are."""

SMALL = 0.01
"""What such a correction leaves is small against the greatest count."""

MANY = 100
"""So many whole numbers are counts, however small: logarithms of counts are seldom whole."""

_USUAL_GAPS = pa.array(["", "NA", "NaN", "nan", "null"])
_STAGE = "read"


@dataclasses.dataclass(frozen=True)
class GeneMatrix:
    """A matrix of genes by samples as it stands in a file.

    Attributes:
        path: The file.
        genes: Gene name of each row, as text.
        values: Text of the same rows; one column a sample.
    """

    path: Path
    genes: pd.Series
    values: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class MatrixFacts:
    """What is known of all numbers of a matrix.

    Attributes:
        least: Least value.
        greatest: Greatest value.
        negative: Number of values below zero.
        known: Number of values.
        whole: Whether all are whole numbers.
        is_linear: Whether it was said that they are counts, whatever they look like.
    """

    least: float
    greatest: float
    negative: int
    known: int
    whole: bool
    is_linear: bool = False

    @property
    def are_counts(self) -> bool:
        """Whether the numbers are on a linear scale (counts, RSEM, TPM), not logarithms."""
        return self.is_linear or self.greatest > LARGEST_LOGARITHM or self.are_small_counts

    @property
    def may_be_corrected_counts(self) -> bool:
        """Whether the negative values are few and small enough for a correction for batches."""
        few = self.negative <= MOST_NEGATIVE * self.known
        small = -self.least <= SMALL * self.greatest
        return few and small and self.greatest > LARGEST_LOGARITHM

    @property
    def are_small_counts(self) -> bool:
        """Whether so many whole numbers stand there that they cannot be logarithms."""
        return self.whole and self.known >= MANY and self.greatest > 1


def one_row_a_gene(
    names: pd.Series, values: pd.DataFrame, what: str
) -> tuple[pd.Series, list[tuple[str, str, str, str]]]:
    """Chooses one row for every gene name: of several the one with the greatest sum.

    Args:
        names: Gene name of each row, as text.
        values: Numbers of the same rows; one column a sample.
        what: Name of the file, for the exclusions.

    Returns:
        The gene name of each row that is kept (index of `values`), and rows for the exclusions
        table.
    """
    genes = known_text(names).values
    excluded: list[tuple[str, str, str, str]] = []
    keep = genes.notna() & ~genes.duplicated(keep=False)
    for gene in sorted(genes[genes.notna() & genes.duplicated()].unique()):
        copies = values.index[genes == gene]
        reason = f"{len(copies)} rows of {what} have this gene name; the one of greatest sum kept"
        keep |= keep.index == _greatest(values.loc[copies])
        excluded.append(("value", gene, _STAGE, reason))
    if genes.isna().any():
        count = int(genes.isna().sum())
        excluded.append(
            ("value", "", _STAGE, f"{counted(count, 'row')} of {what} without gene name")
        )
    return genes[keep], excluded


def _greatest(rows: pd.DataFrame) -> int:
    """Index of the row with the greatest sum; among equal sums the first by its values."""
    ordered = rows[sorted(rows.columns)].to_numpy(dtype=float)
    keys = [(-total, *row) for total, row in zip(np.nansum(ordered, axis=1), ordered, strict=True)]
    return int(rows.index[min(range(len(keys)), key=lambda k: keys[k])])


def read_numbers(
    texts: pd.DataFrame, where: str
) -> tuple[pd.DataFrame, list[tuple[int, str, str]]]:
    """Floats of a whole matrix (same index and columns), and the few cells that are none.

    Args:
        texts: Text; one column a sample.
        where: The file, for messages.

    Returns:
        The numbers, and (row, column, text) of every cell that is neither a number nor missing.

    Raises:
        DataError: A column holds more than a few texts that are no numbers.
    """
    columns: dict[str, np.ndarray] = {}
    rejected: list[tuple[int, str, str]] = []
    plain = {str(sample): _plain(texts[sample]) for sample in texts.columns}
    marks = _marks(texts, all(column is not None for column in plain.values()))
    for sample, numbers in plain.items():
        if numbers is not None and marks.point == "decimal":
            columns[sample] = numbers
            continue
        known = known_text(texts[sample], guessed=True).values
        parsed = parse_numbers(known, f"{where}: sample {sample!r}", marks)
        columns[sample] = parsed.values.to_numpy()
        rejected += [
            (int(k), sample, text)
            for k, text in zip(parsed.rejected.index, parsed.rejected, strict=True)
        ]
    return pd.DataFrame(columns, index=texts.index, dtype=float), rejected


def _plain(texts: pd.Series) -> np.ndarray | None:
    """The numbers of a column of plain ones and usual gaps, without looking at each in Python."""
    cells = pa.array(texts, pa.string())
    cells = pc.if_else(pc.is_in(cells, _USUAL_GAPS), pa.scalar(None, pa.string()), cells)
    try:
        numbers = pc.cast(cells, pa.float64())
    except pa.ArrowException:
        return None
    if not pc.all(pc.is_finite(numbers)).as_py() and numbers.null_count < len(numbers):
        return None
    return numbers.to_numpy(zero_copy_only=False)


def _marks(texts: pd.DataFrame, all_plain: bool) -> Marks:
    """What points and commas mean, by all cells; the first column often decides alone."""
    if all_plain:
        for sample in texts.columns:
            if not texts[sample].str.fullmatch(r"|NA|-?[1-9]\d{0,2}\.\d{3}|-?\d+").all():
                return Marks()
    cells = [known_text(texts[sample], guessed=True).values.dropna() for sample in texts.columns]
    return find_marks(pd.concat(cells, ignore_index=True)) if cells else Marks()


def measure(numbers: pd.DataFrame) -> MatrixFacts:
    """Looks at all numbers of a matrix."""
    values = numbers.to_numpy(dtype=float)
    known = values[~np.isnan(values)]
    if not known.size:
        return MatrixFacts(0.0, 0.0, 0, 0, False)
    return MatrixFacts(
        least=float(known.min()),
        greatest=float(known.max()),
        negative=int((known < 0).sum()),
        known=int(known.size),
        whole=bool((known == np.rint(known)).all()),
    )


def as_logarithms(numbers: pd.DataFrame, facts: MatrixFacts, where: str) -> pd.DataFrame:
    """log2(x+1) of some numbers of a matrix; those that are logarithms already stay.

    The few values below zero that a correction for batches leaves in counts are 0.

    Args:
        numbers: The numbers to take, or a part of them.
        facts: What is known of the whole matrix.
        where: The file, for messages.

    Raises:
        DataError: There are too many values below zero for counts, or any among logarithms.
    """
    if facts.negative and not facts.may_be_corrected_counts:
        raise DataError(
            f"{where}: {facts.negative:,} of {facts.known:,} values are negative (down to "
            f"{facts.least:g}): z-scores depend on who else is in the table; take the table of "
            "counts, RSEM or log2(x+1)"
        )
    if not facts.are_counts:
        return numbers
    logarithms = np.log2(numbers.to_numpy(dtype=float).clip(min=0) + 1)
    return pd.DataFrame(logarithms, index=numbers.index, columns=numbers.columns)


def scale_note(facts: MatrixFacts, file: str) -> str:
    """What was decided of a matrix, in a sentence."""
    if not facts.are_counts:
        return (
            f"Expression of {file} is taken for log2(x+1): no value of the whole file is above "
            f"{facts.greatest:g}."
        )
    how = f"the greatest value of the whole file is {facts.greatest:,.6g}"
    if facts.greatest <= LARGEST_LOGARITHM:
        how = "all values of the whole file are whole numbers"
    zero = (
        f" {facts.negative:,} of its {facts.known:,} values are negative, as a correction for "
        "batches leaves them, and count as 0."
        if facts.negative
        else ""
    )
    return f"Expression of {file} is on a linear scale ({how}) and became log2(x+1).{zero}"
