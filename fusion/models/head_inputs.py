"""Feature tables to the tensors of a head: fitted preprocessing, one input a modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import torch

from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features import STANDARD_LIMIT, Arrays, FeatureTable, Standardizer, below
from fusion.features.late import LateMatrix, without_numbers
from fusion.features.metadata import MetadataEncoder
from fusion.features.selecting import embeddings, fit_columns, training_embeddings
from fusion.ledger import witness
from fusion.models.late_input import LateInput, standardised
from fusion.models.tiles import BagInput, TileBags, TileReader
from fusion.models.training import HeadData


class ModalityInput(Protocol):
    """Fitted preprocessing of one modality."""

    dropped: tuple[str, ...]

    def transform(
        self, table: FeatureTable
    ) -> tuple[np.ndarray | TileBags | LateInput, np.ndarray]:
        """Returns finite values float32 (n, width), and which rows have the modality, bool (n,)."""
        ...

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state as a JSON record and arrays."""
        ...


class EmbeddingInput:
    """Embeddings of one or more backbones, standardised over training rows that have them."""

    dropped: tuple[str, ...] = ()

    def __init__(self, backbones: tuple[str, ...], standardizer: Standardizer) -> None:
        self._backbones = backbones
        self._standardizer = standardizer

    @classmethod
    def fit(cls, modality: Modality, table: FeatureTable) -> Self:
        """Learns mean and scale of each dimension; every patient counts once.

        Raises:
            DataError: No row has an embedding.
        """
        matrix = training_embeddings(table, modality.name, modality.embeddings)
        witness("scaling", "fitted on", table.patient_ids)
        return cls(modality.embeddings, Standardizer().fit(matrix, table.row_weights()))

    def transform(self, table: FeatureTable) -> tuple[np.ndarray | LateInput, np.ndarray]:
        """Standardises; a row without image gets zeros and is marked."""
        matrix = embeddings(table, self._backbones)
        if isinstance(matrix, LateMatrix):
            return LateInput(matrix, self._standardizer), matrix.present
        return standardised(matrix, self._standardizer), ~without_numbers(matrix)

    def gradients(self, table: FeatureTable, upstream: np.ndarray) -> dict[str, np.ndarray]:
        """Carries a gradient (n, width) through the scaling, to each embedding (n, D)."""
        values = self._standardizer.transform(embeddings(table, self._backbones)[:])
        moving = np.abs(values) < STANDARD_LIMIT  # clipped values do not move
        whole = np.where(moving, upstream / self._standardizer.scale_, 0.0)
        widths = [table.embeddings[name].shape[1] for name in self._backbones]
        parts = np.split(whole, np.cumsum(widths)[:-1], axis=1)
        return dict(zip(self._backbones, parts, strict=True))

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        return {"embeddings": list(self._backbones)}, self._standardizer.to_arrays()

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuilds the input from `to_state` output."""
        return cls(tuple(record["embeddings"]), Standardizer.from_arrays(arrays))


class MetadataInput:
    """Patient columns of a modality; a row without any known value lacks the modality.

    The encoded columns are standardised as the embeddings are: MinMax leaves a skewed column (a
    mutation burden) with hardly any spread, and the head would learn it last.
    """

    def __init__(self, encoder: MetadataEncoder, standardizer: Standardizer) -> None:
        self._encoder = encoder
        self._standardizer = standardizer
        self.dropped = encoder.dropped_

    @classmethod
    def fit(cls, modality: Modality, config: MetadataConfig, table: FeatureTable) -> Self:
        """Fits the encoder on the table's patients.

        Raises:
            DataError: No column of the modality says anything in training.
        """
        encoder = fit_columns(modality, config, table)
        witness("scaling", "fitted on", table.patient_ids)
        encoded = encoder.transform(table.columns)
        return cls(encoder, Standardizer().fit(encoded, table.row_weights()))

    def transform(self, table: FeatureTable) -> tuple[np.ndarray, np.ndarray]:
        """Encodes and standardises the columns."""
        values = self._standardizer.transform(self._encoder.transform(table.columns))
        return values.astype(np.float32), self._encoder.known_rows(table.columns)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state."""
        record, arrays = self._encoder.to_state()
        scaling = {f"standardizer.{k}": v for k, v in self._standardizer.to_arrays().items()}
        return {"metadata": record}, arrays | scaling

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuilds the input from `to_state` output."""
        return cls(
            MetadataEncoder.from_state(record["metadata"], arrays),
            Standardizer.from_arrays(below("standardizer.", arrays)),
        )


class HeadInputs:
    """Fitted preprocessing of all modalities of an arm.

    Attributes:
        modalities: Per modality its fitted preprocessing.
    """

    def __init__(self, modalities: Mapping[str, ModalityInput]) -> None:
        self.modalities = dict(modalities)

    @classmethod
    def fit(
        cls,
        modalities: tuple[Modality, ...],
        config: MetadataConfig,
        table: FeatureTable,
        tiles: TileReader | None = None,
    ) -> Self:
        """Fits everything on the rows of `table` and no others.

        Args:
            modalities: Modalities of the arm.
            config: Preprocessing of patient columns.
            table: Training rows.
            tiles: Reads bags of tiles, for a head that attends over them; otherwise embeddings
                whose bags are kept are the means of these.
        """

        def fitted(modality: Modality) -> ModalityInput:
            if not modality.embeddings:
                return MetadataInput.fit(modality, config, table)
            if tiles is not None and not table.bags.keys().isdisjoint(modality.embeddings):
                return BagInput.fit(modality, table, tiles)
            return EmbeddingInput.fit(modality, table)

        return cls({modality.name: fitted(modality) for modality in modalities})

    def transform(self, table: FeatureTable) -> HeadData:
        """Returns the rows as tensors.

        Raises:
            DataError: An embedding or a patient column is absent.
        """
        parts = {name: m.transform(table) for name, m in self.modalities.items()}
        return HeadData(
            inputs={
                name: torch.from_numpy(values) if isinstance(values, np.ndarray) else values
                for name, (values, _) in parts.items()
            },
            present={name: torch.from_numpy(present) for name, (_, present) in parts.items()},
            y=torch.as_tensor(np.asarray(table.y, dtype=np.float32)),
            patient_ids=table.patient_ids,
        )

    def embedding_gradients(
        self, table: FeatureTable, upstream: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Carries gradients of the inputs back to the embeddings.

        Args:
            table: The rows; n of them.
            upstream: Per modality the gradient of a number a row; shape (n, width).

        Returns:
            Per backbone a matrix (n, D); a backbone of several modalities has their sum.
        """
        found: dict[str, np.ndarray] = {}
        for name, modality in self.modalities.items():
            if isinstance(modality, EmbeddingInput):
                for backbone, own in modality.gradients(table, upstream[name]).items():
                    found[backbone] = found.get(backbone, 0.0) + own
        return found

    @property
    def dropped(self) -> list[str]:
        """Patient columns that say nothing in training."""
        return sorted(name for m in self.modalities.values() for name in m.dropped)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state as a JSON record and arrays."""
        records: list[dict[str, Any]] = []
        arrays: Arrays = {}
        for i, (name, modality) in enumerate(self.modalities.items()):
            record, own = modality.to_state()
            records.append({"modality": name, **record})
            arrays |= {f"{i}.{key}": array for key, array in own.items()}
        return {"modalities": records}, arrays

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuilds the inputs from `to_state` output."""
        made: dict[str, ModalityInput] = {}
        for i, one in enumerate(record["modalities"]):
            kind = EmbeddingInput if "embeddings" in one else MetadataInput
            made[one["modality"]] = kind.from_state(one, below(f"{i}.", arrays))
        return cls(made)
