"""Which patients have one clinical row: by the record of who lent it, or by its values."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort

MIN_KNOWN = 4
"""Known values that a row needs: fewer are shared by chance whatever they are."""

MARGIN_BITS = 15.0
"""Rows are one where their agreement by chance, were columns independent, is rarer than one pair
of the cohort by 2^15. The margin is for columns that are not independent: in TCGA-SKCM stage, T, N
and M carry 3 bits less together than apart, T with thickness, Clark level and ulceration another
3, mutation count and burden 9."""


@dataclasses.dataclass(frozen=True)
class IdenticalRow:
    """One clinical row that several patients have.

    Attributes:
        patients: Their ids, sorted.
        known: Number of known values, all of them equal.
        bits: Information of the agreement: a random pair agrees with probability 2^-bits.
    """

    patients: tuple[str, ...]
    known: int
    bits: float


def donor_rows(cohort: Cohort) -> pd.DataFrame:
    """`key, patient_id` of who lent each row; empty without a record of it."""
    for table in (cohort.pairing, cohort.patients):
        if table is not None and "donor_id" in table.columns:
            return table[["donor_id", "patient_id"]].set_axis(["key", "patient_id"], axis=1)
    return pd.DataFrame({"key": [], "patient_id": []}, dtype="str")


def row_groups(rows: list[IdenticalRow]) -> pd.DataFrame:
    """`key, patient_id` of identical rows; the key says who has it and how rare that is."""
    records = [
        (f"of {row.patients[0]} ({row.known} values, {row.bits:.0f} bits)", patient)
        for row in rows
        for patient in row.patients
    ]
    return pd.DataFrame(records, columns=["key", "patient_id"], dtype="str")


def identical_rows(cohort: Cohort) -> list[IdenticalRow]:
    """Finds patients whose rows agree in every value, known or missing, beyond chance.

    Every column counts, also those withheld from models. A column's chance agreement is the share
    of pairs of distinct rows that agree in it; a value that many share is given no more weight
    than its own frequency deserves.
    """
    patients = cohort.patients.sort_values("patient_id", ignore_index=True)
    values = patients[[c.name for c in cohort.dictionary if c.name in patients.columns]]
    codes = _codes(values)
    hashes = pd.util.hash_pandas_object(pd.DataFrame(codes), index=False)
    shared = hashes[hashes.duplicated(keep=False)]
    if shared.empty:
        return []
    distinct = ~hashes.duplicated().to_numpy()
    information = _information(codes, distinct)
    pairs = len(patients) * (len(patients) - 1) / 2
    needed = np.log2(max(pairs, 1.0)) + MARGIN_BITS
    found = []
    for rows in shared.groupby(shared).groups.values():
        known = codes[rows[0]] >= 0
        bits = float(information[rows[0], known].sum())
        if known.sum() >= MIN_KNOWN and bits >= needed:
            ids = tuple(sorted(patients.loc[rows, "patient_id"]))
            found.append(IdenticalRow(ids, int(known.sum()), bits))
    return sorted(found, key=lambda row: row.patients)


def _codes(values: pd.DataFrame) -> np.ndarray:
    """Whole numbers that are equal where values are, -1 where missing; shape (n, columns)."""
    columns = [pd.factorize(values[name])[0] for name in values.columns]
    return np.column_stack(columns) if columns else np.empty((len(values), 0), dtype=int)


def _information(codes: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    """Bits of agreeing in each value; shape (n, columns), 0 where missing."""
    bits = np.zeros(codes.shape)
    for k in range(codes.shape[1]):
        column = codes[:, k]
        known = column >= 0
        n = int((known & distinct).sum())
        counts = np.bincount(column[known & distinct], minlength=int(column.max()) + 1)
        pairs = n * (n - 1) / 2
        agreeing = (counts * (counts - 1) / 2).sum()
        of_column = (agreeing + 1) / (pairs + 1)
        of_value = np.maximum(counts - 1, 0) / max(n, 1)  # others who have the value
        bits[known, k] = -np.log2(np.minimum(np.maximum(of_column, of_value[column[known]]), 1.0))
    return bits
