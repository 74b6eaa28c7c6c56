"""Scores patients with a bundle. Command, Python and service all come through here.

Embeddings do not depend on their company (`extractor.backbones`), and models are given one patient
at a time, so a score depends on the patient and the bundle alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from featurestore.errors import DataError
from featurestore.imagefile import UnreadableImage
from fusion.arms import Arm, Modality
from fusion.bundle.archive import Bundle, read_bundle
from fusion.bundle.codecs import load_arrays, load_calibration, load_model
from fusion.bundle.novelty import Novelty
from fusion.bundle.record import ModelRecord, NoveltyRecord
from fusion.calibration import Calibration
from fusion.features import FeatureTable
from fusion.head_model import FusionHeadModel
from fusion.model import Model, by_patient
from fusion.predict.cases import Case, Flag, Picture, Value, check_case
from fusion.predict.encoders import Encoders, Squares
from fusion.predict.result import LEVEL, ImageDistance, Prediction, Score
from fusion.training import single_thread


@dataclasses.dataclass(frozen=True)
class LoadedArm:
    """One arm of a bundle, ready.

    Attributes:
        record: What the bundle says of it.
        arm: Its modalities.
        model: Fitted on all training patients.
        calibration: From log odds to probabilities.
        replicates: Fitted on bootstrap draws of them.
    """

    record: ModelRecord
    arm: Arm
    model: Model
    calibration: Calibration
    replicates: tuple[Model, ...]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A case whose pictures are decoded.

    Attributes:
        case: The case.
        squares: One an image.
    """

    case: Case
    squares: tuple[Squares, ...]


class Predictor:
    """A bundle at work; several threads may share it.

    Example:
        >>> predictor = Predictor.load("bundles/demo")  # doctest: +SKIP
        >>> case = predictor.case({"age": 61, "breslow": 2.4}, ["lesion.jpg"])  # doctest: +SKIP
        >>> predictor.predict([case])[0].score.probability  # doctest: +SKIP

    Attributes:
        bundle: The verified bundle.
        encoders: Its backbones.
        arms: Its models; the first gives the probability.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Builds everything that a bundle holds.

        Args:
            bundle: A verified bundle.
            device: `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.

        Raises:
            ConfigError: The device is not available, or a model or backbone is unknown.
            DataError: The files do not fit together, or were made by other versions.
        """
        self.bundle = bundle
        self.encoders = Encoders(bundle, device)
        self.arms = tuple(_load_arm(bundle, record) for record in bundle.record.models)
        self._novelty = [(n, _load_novelty(bundle, n)) for n in bundle.record.novelty]
        self._inputs = {column.name: column for column in bundle.record.inputs}
        self._dictionary = bundle.record.dictionary

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Reads and verifies a bundle and builds what it holds.

        Raises:
            ConfigError: The device is not available, or a model or backbone is unknown.
            DataError: There is no bundle, or it is not as it was written.
        """
        return cls(read_bundle(Path(path)), device)

    def case(
        self,
        values: Mapping[str, Any] | None = None,
        images: Sequence[str | Path | bytes] = (),
        patient_id: str = "",
    ) -> Case:
        """Checks one patient's values.

        Args:
            values: By name of column; missing ones may be left out or None.
            images: Files, or their bytes.
            patient_id: Only given back.

        Raises:
            DataError: A name is unknown, a value is none that its column can hold, or nothing was
                given.
        """
        pictures = tuple(
            Picture(f"image {k + 1}", i) if isinstance(i, bytes) else Picture(Path(i).name, Path(i))
            for k, i in enumerate(images)
        )
        return check_case(self.bundle.record, values or {}, pictures, patient_id)

    def predict(self, cases: Sequence[Case]) -> list[Prediction]:
        """Scores patients.

        Raises:
            DataError: An image cannot be read, or the first arm knows nothing of a patient.
        """
        return self.score([self.prepare(case) for case in cases])

    def prepare(self, case: Case) -> Prepared:
        """Reads and decodes the pictures of a case.

        Raises:
            DataError: An image cannot be read, or the first arm would know nothing of the patient.
        """
        self._require_something(case)
        squares = []
        for picture in case.pictures if self.encoders.loaded else ():
            try:
                squares.append(self.encoders.decode(picture.read()))
            except UnreadableImage as error:
                raise DataError(f"image {picture.name}: {error.reason}") from None
        return Prepared(case, tuple(squares))

    def score(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Scores patients whose pictures are decoded."""
        tables = self.tables(prepared)
        with single_thread():
            return [self._predict(p.case, table) for p, table in zip(prepared, tables, strict=True)]

    def tables(self, prepared: Sequence[Prepared]) -> list[FeatureTable]:
        """Feature table of each patient; all pictures are embedded together."""
        embeddings = self.encoders.embed([s for p in prepared for s in p.squares])
        found, start = [], 0
        for p in prepared:
            end = start + len(p.squares)
            own = {name: matrix[start:end] for name, matrix in embeddings.items()}
            found.append(self._table(p.case, own))
            start = end
        return found

    def _table(self, case: Case, embeddings: Mapping[str, np.ndarray]) -> FeatureTable:
        """One row a picture, or one without any."""
        count = max(1, *(len(matrix) for matrix in embeddings.values())) if embeddings else 1
        filled = {
            name: matrix if len(matrix) else np.full((1, matrix.shape[1]), np.nan, np.float32)
            for name, matrix in embeddings.items()
        }
        columns = {
            name: pd.Series(
                [case.values.get(name)] * count, dtype=object if column.is_text else float
            )
            for name, column in self._inputs.items()
        }
        ids = np.full(count, "patient", dtype=object)
        return FeatureTable(
            row_ids=np.array([f"row {k:04d}" for k in range(count)], dtype=object),
            patient_ids=ids,
            groups=ids,
            y=np.zeros(count),
            embeddings=filled,
            columns=pd.DataFrame(columns, index=range(count)),
            dictionary=self._dictionary,
        )

    def _predict(self, case: Case, table: FeatureTable) -> Prediction:
        scores = [self._score(arm, case, table) for arm in self.arms]
        first = scores[0]
        assert first is not None  # `prepare` refuses a case of which it knows nothing
        seen = {name for arm in self.arms for m in arm.arm.modalities if m.name in first.used
                for name in self._columns(m)}  # fmt: skip
        imputed = {
            name: column.typical
            for name, column in self._inputs.items()
            if name in seen and not self._has_value(case, name)
        }
        distances = self._distances(case, table)
        return Prediction(
            patient_id=case.patient_id,
            score=first,
            others=tuple(score for score in scores[1:] if score is not None),
            missing=tuple(name for name in self._inputs if name not in case.values),
            imputed=imputed,
            flags=(*case.flags, *_far(distances)),
            distances=distances,
        )

    def _score(self, arm: LoadedArm, case: Case, table: FeatureTable) -> Score | None:
        used = tuple(m.name for m in arm.arm.modalities if self._has(case, m))
        if not used:
            return None
        raw = log_odds(arm.model, table)
        low, high = self._interval(arm, table, raw)
        return Score(
            arm=arm.record.arm,
            probability=_probability(arm.calibration, raw),
            low=low,
            high=high,
            ensemble=_ensemble(arm, table),
            threshold=arm.record.threshold,
            used=used,
            absent=tuple(m.name for m in arm.arm.modalities if m.name not in used),
        )

    def _interval(
        self, arm: LoadedArm, table: FeatureTable, raw: float
    ) -> tuple[float | None, float | None]:
        """Student's interval over the log odds of the replicates, around those of the model."""
        if len(arm.replicates) < 2:
            return None, None
        drawn = [log_odds(replicate, table) for replicate in arm.replicates]
        quantile = float(student_t.ppf((1 + LEVEL) / 2, len(drawn) - 1))
        reach = quantile * float(np.std(drawn, ddof=1))
        ends = (_probability(arm.calibration, raw + sign * reach) for sign in (-1, 1))
        low, high = ends
        return low, high

    def _distances(self, case: Case, table: FeatureTable) -> tuple[ImageDistance, ...]:
        if not case.pictures:
            return ()
        return tuple(
            ImageDistance(
                picture.name, record.encoder, float(d), novelty.nearer(float(d)), record.limit
            )
            for record, novelty in self._novelty
            for picture, d in zip(
                case.pictures, novelty.distances(table.embeddings[record.encoder]), strict=True
            )
        )

    def _require_something(self, case: Case) -> None:
        first = self.arms[0].arm
        if not any(self._has(case, modality) for modality in first.modalities):
            given = " and ".join(
                [*(["an image"] if case.pictures else []), *([f"{len(case.values)} values"]
                 if case.values else [])]
            )  # fmt: skip
            raise DataError(
                f"{first.name} looks at {first.modality_text}, of which nothing was given "
                f"(there is {given})"
            )

    def _has(self, case: Case, modality: Modality) -> bool:
        if modality.embeddings:
            return bool(case.pictures)
        return any(self._has_value(case, name) for name in self._columns(modality))

    def _has_value(self, case: Case, name: str) -> bool:
        """Whether a column has a value that models can use."""
        value: Value | None = case.values.get(name)
        column = self._inputs[name]
        if value is None or not column.is_text:
            return value is not None
        return value in (column.levels if column.kind == "ordinal" else column.training_levels)

    def _columns(self, modality: Modality) -> list[str]:
        return modality.columns(self._dictionary)


def log_odds(model: Model, table: FeatureTable) -> float:
    """Mean log odds over the rows of one patient."""
    _, _, score = by_patient(table.patient_ids, table.y, model.predict_proba(table))
    return float(score[0])


def _probability(calibration: Calibration, raw: float) -> float:
    return float(calibration(np.array([raw]))[0])


def _ensemble(arm: LoadedArm, table: FeatureTable) -> tuple[float, float] | None:
    if not isinstance(arm.model, FusionHeadModel):
        return None
    logits = arm.model.member_logits(table).mean(axis=1)
    if len(logits) < 2:
        return None
    return _probability(arm.calibration, float(logits.min())), _probability(
        arm.calibration, float(logits.max())
    )


def _far(distances: Sequence[ImageDistance]) -> tuple[Flag, ...]:
    return tuple(
        Flag(
            "out_of_distribution",
            f"{d.image}, {d.encoder}",
            f"{d.image} is unlike the training images: as {d.encoder} sees it, {d.nearer:.1%} of "
            f"them lie nearer to their centre. The model knows little of such images.",
        )
        for d in distances
        if d.distance > d.limit
    )


def _load_arm(bundle: Bundle, record: ModelRecord) -> LoadedArm:
    try:
        modalities = tuple(Modality.from_record(m) for m in record.modalities)
    except (KeyError, TypeError) as error:
        raise DataError(f"arm {record.arm} of the bundle names no modalities: {error}") from None
    return LoadedArm(
        record,
        Arm(record.arm, record.model, modalities),
        load_model(record.model, bundle.contents, record.state),
        load_calibration(record.calibration),
        tuple(load_model(record.model, bundle.contents, name) for name in record.replicates),
    )


def _load_novelty(bundle: Bundle, record: NoveltyRecord) -> Novelty:
    arrays = load_arrays(bundle.contents, record.file)
    try:
        return Novelty.from_arrays(arrays)
    except (KeyError, IndexError) as error:
        raise DataError(f"{record.file} of the bundle cannot be used: {error}") from None
