"""What a modality takes from a feature table, with one wording of what can be wrong."""

from __future__ import annotations

import numpy as np

from featurestore.errors import DataError, name_some
from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features.late import LateEmbeddings, Matrix, without_numbers
from fusion.features.metadata import MetadataEncoder
from fusion.features.table import FeatureTable


def embeddings(table: FeatureTable, backbones: tuple[str, ...]) -> Matrix:
    """Embeddings of one or more backbones side by side; `NaN` in rows without. Shape (n, D).

    Those of a large table are read when their rows are asked for.

    Raises:
        DataError: One of them is absent.
    """
    absent = [name for name in backbones if name not in table.embeddings]
    if absent:
        have = ", ".join(table.embeddings) or "none"
        raise DataError(f"the embeddings of {name_some(absent)} are absent; the table has {have}")
    if isinstance(table.embeddings, LateEmbeddings):
        return table.embeddings.matrix(backbones)
    own = [table.embeddings[name] for name in backbones]
    return own[0] if len(own) == 1 else np.hstack(own)


def training_embeddings(table: FeatureTable, modality: str, backbones: tuple[str, ...]) -> Matrix:
    """The same, of training rows of which at least one has an embedding.

    Raises:
        DataError: One is absent, or no row has any.
    """
    matrix = embeddings(table, backbones)
    if without_numbers(matrix).all():
        raise DataError(
            f"no training patient has an embedding of {name_some(backbones)}; leave modality "
            f"{modality!r} out of the arms"
        )
    return matrix


def fit_columns(modality: Modality, config: MetadataConfig, table: FeatureTable) -> MetadataEncoder:
    """Fits the encoding of a modality's patient columns on training rows.

    Raises:
        DataError: A column is absent, or none of them says anything in training.
    """
    names = modality.columns(table.dictionary)
    columns = [table.dictionary[name] for name in names]
    encoder = MetadataEncoder(columns, config.expression_components, config.indicators)
    encoder.fit(table.columns, table.patient_ids)
    if not encoder.features_:
        raise DataError(
            f"modality {modality.name!r}: none of its columns ({name_some(names)}) varies among "
            f"the training patients; leave it out of the arms"
        )
    return encoder
