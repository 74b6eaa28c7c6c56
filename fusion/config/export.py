"""The `export` section: what `run` exports at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import pydantic

from featurestore.config import Section
from featurestore.export import exporter_names
from featurestore.export.deidentify import Step
from featurestore.export.splitting import MAX_VARIABLES

TableName = Literal[
    "analysis",
    "images",
    "embeddings",
    "predictions",
    "folds",
    "exclusions",
    "pairing",
    "missing_values",
]
"""Tables of an export; `fusion.export.tables` makes them."""


class ExportConfig(Section):
    """What `run` exports at its end.

    Attributes:
        formats: csv, parquet, dta (Stata), sav (SPSS), xpt (SAS), redcap (codes, and the data
            dictionary of a project), xlsx (Excel; needs the extra `excel`), or what an installed
            package registers.
        tables: Which tables.
        embeddings: `pca:K` (K principal components, fitted on each fold's training part), `raw`,
            `none`, or `pca-cohort:K` (fitted on all patients: for description only).
        max_variables: Tables with more variables are split into parts with a shared key.
        deidentify: `ids` (keyed pseudonyms), `ages` (above 89), `dates` (moved per patient).
        key: File with the key of `deidentify`, relative to where the command runs.
    """

    formats: tuple[str, ...] = ("csv", "parquet")
    tables: tuple[TableName, ...] = get_args(TableName)
    embeddings: str = pydantic.Field(
        "pca:16", pattern=r"^(none|raw|(pca|pca-cohort):[1-9]\d{0,3})$"
    )
    max_variables: int = pydantic.Field(MAX_VARIABLES, ge=3, le=32_767)
    deidentify: tuple[Step, ...] = ()
    key: Path | None = None

    @pydantic.field_validator("formats")
    @classmethod
    def _registered(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        known = exporter_names()
        unknown = [name for name in formats if name not in known]
        if unknown:
            raise ValueError(f"unknown format {unknown[0]!r}; known: {', '.join(known)}")
        return formats
