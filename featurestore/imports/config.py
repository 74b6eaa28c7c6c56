"""The `embeddings` section of a configuration: features that were made elsewhere."""

from __future__ import annotations

from typing import Literal

import pydantic

from featurestore.config import Section, Text
from featurestore.imports.pooling import Pooling
from featurestore.store.writer import StorageType
from featurestore.tables import Measured

Format = Literal["auto", "csv", "parquet", "npz", "h5", "trident", "stamp", "pt"]


class EmbeddingConfig(Section):
    """Embeddings from elsewhere: a modality of the ablation by their name, as a backbone is.

    Attributes:
        name: Name of the encoder in modalities, arms and the store.
        path: Files, a folder or shell-style patterns, relative to the data root.
        format: What the files are; `auto` recognises it by their shape.
        id: Column of the ids of images or slides (tables).
        patient: Column of patient ids (tables).
        patient_from: Table that says whose an id is: a column `patient_id` (or `patient`, `case`,
            `case_id`) beside one `id` (or `image_id`, `slide_id`, `slide`, `filename`).
        columns: Shell-style patterns of the columns that are features (tables).
        dataset: Dataset or array that holds the features, where a file has several.
        incomplete: Of a table with missing values leave out the `rows` that have one, or the
            `columns`.
        pool: How the rows of a bag of tiles become one embedding; `none` keeps the bags, for
            `fusion_head_attention`, and other models see the mean.
        dtype: Type in which they are stored; float16 refuses values that overflow.
        trained_on: Whom of this study the encoder learned from: `none`, a list of patient ids, or
            `unknown`, which every report warns of.
        measured: When what the features show was taken: `diagnosis`, `specimen` or `follow_up`.
        version: Version of the encoder.
        licence: Licence of the features.
        attribution: Whom to name.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    path: str | tuple[str, ...]
    format: Format = "auto"
    id: str = ""
    patient: str = ""
    patient_from: str = ""
    columns: tuple[str, ...] = ()
    dataset: str = ""
    incomplete: Literal["rows", "columns"] = "rows"
    pool: Pooling = "mean"
    dtype: StorageType = "float32"
    trained_on: Literal["none", "unknown"] | tuple[Text, ...] = "unknown"
    measured: Measured = "unknown"
    version: str = ""
    licence: str = ""
    attribution: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """Files, folders and patterns."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @pydantic.model_validator(mode="after")
    def _patients_come_from_one_place(self) -> EmbeddingConfig:
        if self.patient and self.patient_from:
            raise ValueError("patients come from a column (patient) or a table (patient_from)")
        if not self.paths:
            raise ValueError("path names no file")
        return self
