"""What the downloads of one study have in common: clinical tables, expression and mutations.

Every patient counts with one specimen, and all files speak of that one.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from featurestore.config import Section
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.clinical_table import joined, kept
from featurestore.sources.expression_matrix import (
    PatientColumns,
    open_matrix,
    read_expression,
    specimens_of,
)
from featurestore.sources.mutations import GENES_OF_MELANOMA, open_mutations, read_mutations
from featurestore.sources.specimens import Preferred, chosen_specimens
from featurestore.sources.survival import with_survival
from featurestore.tables import Column, DataDictionary, exclusions_table

_STAGE = "read"


class StudySource(Section):
    """A study's download: clinical tables, and files of its specimens where they are wanted.

    Attributes:
        expression_genes: Genes whose expression becomes columns `expr_GENE`; all by default.
        prefer: Specimen to take where a patient has a `primary` and a `metastatic` one.
        columns: Canonical clinical columns to take; all that are there by default.
    """

    kind: str
    expression_genes: tuple[str, ...] | None = None
    prefer: Preferred = "primary"
    columns: tuple[str, ...] | None = None

    @abstractmethod
    def clinical_tables(self, data_root: Path) -> list[SourceTables]:
        """Reads the clinical tables, the one whose values count first."""

    def expression_file(self) -> Path | None:
        """The matrix of genes by specimens, or None."""
        return None

    def mutations_file(self) -> Path | None:
        """The MAF, or None."""
        return None

    def mutated_genes(self) -> tuple[str, ...]:
        """Genes whose mutations become columns."""
        return GENES_OF_MELANOMA

    def read(self, context: ReadContext) -> SourceTables:
        """Reads all files.

        Raises:
            DataError: A file is missing, damaged or of another format, or an id is no id.
        """
        clinical = with_survival(joined(self.clinical_tables(context.data_root)))
        clinical = kept(clinical, self.columns)
        expression, mutations = self.expression_file(), self.mutations_file()
        matrix = maf = None
        listed = []
        if mutations is not None:
            maf = open_mutations(context.data_root / mutations, self.kind)
            listed.append(maf.specimens)
        if expression is not None:
            matrix = open_matrix(context.data_root / expression, self.kind)
            listed.append(specimens_of(matrix))
        if not listed:
            return clinical
        samples = chosen_specimens(_known_specimens(clinical.patients), listed, self.prefer)
        result = _with_specimens(clinical, samples)
        if maf is not None:
            result = _joined(result, read_mutations(maf, samples, self.mutated_genes()), maf.path)
        if matrix is not None:
            read = read_expression(matrix, samples, self.expression_genes)
            result = _joined(result, read, matrix.path)
        return result


def _known_specimens(people: pd.DataFrame) -> dict[str, str | None]:
    if "sample_id" not in people.columns:
        return dict.fromkeys(people["patient_id"])
    pairs = zip(people["patient_id"], people["sample_id"], strict=True)
    return {str(p): None if pd.isna(s) else str(s) for p, s in pairs}


def _with_specimens(tables: SourceTables, samples: Mapping[str, str]) -> SourceTables:
    """Fills in the specimens that were chosen for patients known as persons only."""
    people = tables.patients
    chosen = people["patient_id"].map(samples)
    chosen = chosen.where(chosen != people["patient_id"]).astype("str")
    return dataclasses.replace(tables, patients=people.assign(sample_id=chosen))


def _joined(tables: SourceTables, more: PatientColumns, path: Path) -> SourceTables:
    """Adds columns of patients; one that both give keeps the clinical value where it is known."""
    patients = tables.patients
    added = more.values.reindex(patients["patient_id"]).reset_index(drop=True)
    added.index = patients.index
    shared = [c.name for c in more.dictionary if c.name in tables.dictionary]
    rows = []
    for name in shared:
        own, other = patients[name], added[name]
        differing = own.notna() & other.notna() & (own != other)
        rows += [
            (
                "value",
                str(patients.loc[k, "patient_id"]),
                _STAGE,
                f"{name}: {own[k]:g} kept, {path.name} says {other[k]:g}",
            )
            for k in own.index[differing]
        ]
        patients = patients.assign(**{name: own.where(own.notna(), other)})
    entries: list[Column] = [c for c in more.dictionary if c.name not in shared]
    return dataclasses.replace(
        tables,
        patients=pd.concat([patients, added[[c.name for c in entries]]], axis=1),
        dictionary=tables.dictionary.merged(DataDictionary(entries)),
        exclusions=pd.concat(
            [tables.exclusions, more.exclusions, exclusions_table(rows)], ignore_index=True
        ),
        notes=(*tables.notes, *more.notes),
    )
