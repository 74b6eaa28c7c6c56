"""Feature tables to one matrix for the comparators: principal components and encoded columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from fusion.arms import Modality
from fusion.config import MetadataConfig
from fusion.features.arrays import Arrays, below
from fusion.features.late import without_numbers
from fusion.features.metadata import MetadataEncoder
from fusion.features.reduction import PrincipalComponents, Standardizer
from fusion.features.selecting import embeddings, fit_columns, training_embeddings
from fusion.features.table import FeatureTable
from fusion.ledger import witness


@dataclasses.dataclass(frozen=True)
class TabularFeature:
    """One column of the encoded matrix.

    Attributes:
        name: Name, for example `resnet18_pc01`, `resnet18_missing`, `breslow`, `site=trunk`.
        modality: Modality of the arm that it belongs to.
        group: Group in the data dictionary, or the backbone of an embedding.
        columns: Patient columns it is computed from; none for an embedding.
        step: How far it moves, before it is standardised, with one unit of its column; `NaN`
            where it is not linear in one column.
    """

    name: str
    modality: str
    group: str
    columns: tuple[str, ...] = ()
    step: float = np.nan


class TabularEncoder:
    """Encodes the modalities of an arm as one matrix, fitted on the rows it is given.

    Every embedding becomes its leading principal components, every patient column is encoded by
    `MetadataEncoder`. All outputs are then standardised: a penalty or a kernel sees one scale, and
    trees do not care.

    A row without image has all components at their training mean; where training had rows with
    and without image, an indicator says so.

    Attributes:
        features_: What each output is, in order.
        dropped_: Patient columns that say nothing in training.
    """

    features_: tuple[TabularFeature, ...]
    dropped_: tuple[str, ...]

    def __init__(self, modalities: tuple[Modality, ...], config: MetadataConfig) -> None:
        """Stores what to encode.

        Args:
            modalities: Modalities of the arm.
            config: Numbers of components.
        """
        self.modalities = modalities
        self.config = config
        self._parts: list[_EmbeddingPart | _MetadataPart] = []
        self._standardizer = Standardizer()

    def fit(self, table: FeatureTable) -> Self:
        """Learns components, encodings and scales.

        Args:
            table: Training rows; a patient with several rows counts once in every statistic of
                patient columns and in all scales.

        Raises:
            DataError: A modality is absent, or says nothing in training.
        """
        self._parts = []
        for modality in self.modalities:
            for backbone in modality.embeddings:
                self._parts.append(_fit_embedding(modality, backbone, self.config, table))
            if modality.groups:
                encoder = fit_columns(modality, self.config, table)
                self._parts.append(_MetadataPart(modality.name, encoder))
        self._describe()
        witness("scaling", "fitted on", table.patient_ids)
        self._standardizer = Standardizer().fit(self._raw(table), table.row_weights())
        return self

    def transform(self, table: FeatureTable) -> np.ndarray:
        """Encodes each row.

        Returns:
            float64, shape (n, outputs), no `NaN`; outputs are in the order of `features_`.

        Raises:
            DataError: An embedding or a patient column is absent.
        """
        return self._standardizer.transform(self._raw(table))

    @property
    def deviations_per_unit(self) -> np.ndarray:
        """Standard deviations of each output in one unit of its column; shape (features,).

        `NaN` for components, which are not linear in one column.
        """
        steps = np.array([feature.step for feature in self.features_])
        return steps / self._standardizer.scale_

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns the fitted state: a JSON record, and arrays for everything large."""
        records: list[dict[str, Any]] = []
        arrays: Arrays = {}
        for i, part in enumerate(self._parts):
            record, own = part.to_state()
            records.append(record)
            arrays |= {f"{i}.{name}": array for name, array in own.items()}
        arrays |= {f"standardizer.{k}": v for k, v in self._standardizer.to_arrays().items()}
        record = {
            "modalities": [dataclasses.asdict(m) for m in self.modalities],
            "config": self.config.model_dump(mode="json"),
            "parts": records,
        }
        return record, arrays

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds a fitted encoder from `to_state` output, also after a trip through JSON."""
        modalities = tuple(Modality.from_record(m) for m in record["modalities"])
        made = cls(modalities, MetadataConfig.model_validate(record["config"]))
        for i, part in enumerate(record["parts"]):
            kind = _EmbeddingPart if "backbone" in part else _MetadataPart
            made._parts.append(kind.from_state(part, below(f"{i}.", arrays)))
        made._standardizer = Standardizer.from_arrays(below("standardizer.", arrays))
        made._describe()
        return made

    def _raw(self, table: FeatureTable) -> np.ndarray:
        return np.hstack([part.transform(table) for part in self._parts])

    def _describe(self) -> None:
        self.features_ = tuple(f for part in self._parts for f in part.features)
        self.dropped_ = tuple(name for part in self._parts for name in part.dropped)


@dataclasses.dataclass(frozen=True)
class _EmbeddingPart:
    """Principal components of one embedding, zeros and perhaps an indicator where it is missing."""

    modality: str
    backbone: str
    components: PrincipalComponents
    has_indicator: bool
    dropped: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[TabularFeature, ...]:
        k = len(self.components.components_)
        names = [f"{self.backbone}_pc{i + 1:0{max(2, len(str(k)))}d}" for i in range(k)]
        if self.has_indicator:
            names.append(f"{self.backbone}_missing")
        return tuple(TabularFeature(name, self.modality, self.backbone) for name in names)

    def transform(self, table: FeatureTable) -> np.ndarray:
        matrix = embeddings(table, (self.backbone,))
        scores = self.components.transform(matrix)
        missing = without_numbers(matrix)
        outputs = np.where(missing[:, None], 0.0, scores)
        return np.column_stack([outputs, missing]) if self.has_indicator else outputs

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        record = {
            "modality": self.modality,
            "backbone": self.backbone,
            "has_indicator": self.has_indicator,
        }
        return record, self.components.to_arrays()

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        components = PrincipalComponents.from_arrays(arrays)
        return cls(record["modality"], record["backbone"], components, record["has_indicator"])


@dataclasses.dataclass(frozen=True)
class _MetadataPart:
    """Encoded patient columns of one modality."""

    modality: str
    encoder: MetadataEncoder

    @property
    def features(self) -> tuple[TabularFeature, ...]:
        return tuple(
            TabularFeature(f.name, self.modality, f.group, f.columns, f.step)
            for f in self.encoder.features_
        )

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.encoder.dropped_

    def transform(self, table: FeatureTable) -> np.ndarray:
        return self.encoder.transform(table.columns).astype(np.float64)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        record, arrays = self.encoder.to_state()
        return {"modality": self.modality, "metadata": record}, arrays

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        return cls(record["modality"], MetadataEncoder.from_state(record["metadata"], arrays))


def _fit_embedding(
    modality: Modality, backbone: str, config: MetadataConfig, table: FeatureTable
) -> _EmbeddingPart:
    matrix = training_embeddings(table, modality.name, (backbone,))
    missing = without_numbers(matrix)
    witness("embedding components", "fitted on", table.patient_ids)
    components = PrincipalComponents(config.embedding_components).fit(matrix)
    marked = config.indicators and bool(missing.any())
    return _EmbeddingPart(modality.name, backbone, components, marked)
