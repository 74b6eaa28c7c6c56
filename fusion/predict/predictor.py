"""Scores patients with a bundle. Command, Python and service all come through here.

Embeddings do not depend on their company (`extractor.backbones`), heads see one patient at a time,
and log odds are rounded to single precision (`scores_binary`) or patients scored one by one
(`scores_times`): a score depends on the patient and the bundle alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from featurestore.errors import DataError
from featurestore.images import UnreadableImage
from fusion.arms import Arm, Modality, role_names
from fusion.bundle.archive import Bundle, read_bundle
from fusion.bundle.codec import load_arrays
from fusion.bundle.codecs import load_model
from fusion.bundle.novelty import Novelty
from fusion.bundle.record import ModelRecord, NoveltyRecord, TimesModelRecord
from fusion.features import FeatureTable
from fusion.features.role_means import mean_of_chosen
from fusion.models import single_thread
from fusion.predict.batch import ArmScore, Batch, LoadedArm, Prepared
from fusion.predict.cases import Case, Flag, Picture, Value, check_case, roles_of_each
from fusion.predict.encoders import Encoders
from fusion.predict.kinds import Scoring, scoring_of
from fusion.predict.probe import require_scores
from fusion.predict.result import ImageDistance, Prediction
from fusion.roles import encoder_of, role_of


class Predictor:
    """A bundle at work; several threads may share it.

    Example:
        >>> predictor = Predictor.load("bundles/demo")  # doctest: +SKIP
        >>> case = predictor.case({"age": 61, "breslow": 2.4}, ["lesion.jpg"])  # doctest: +SKIP
        >>> predictor.predict([case])[0].score.probability  # doctest: +SKIP

    Attributes:
        bundle: The verified bundle.
        encoders: Its backbones.
        scoring: What its scores are.
        arms: Its models; the first gives the score.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Builds everything that a bundle holds.

        Args:
            bundle: A verified bundle.
            device: `auto`, `cpu`, `mps`, `cuda` or `cuda:N`.

        Raises:
            ConfigError: The device is not available, or a model or backbone is unknown.
            DataError: The files do not fit together, were made by other versions, or give a
                made-up patient no probability.
        """
        self.bundle = bundle
        self.encoders = Encoders(bundle, device)
        self.scoring = scoring_of(bundle.record)
        self.arms = tuple(
            _load_arm(bundle, record, self.scoring) for record in bundle.record.models
        )
        self._novelty = [(n, _load_novelty(bundle, n)) for n in bundle.record.novelty]
        self._inputs = {column.name: column for column in bundle.record.inputs}
        self._dictionary = bundle.record.dictionary
        require_scores(self)

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
        roles: Sequence[str] = (),
    ) -> Case:
        """Checks one patient's values.

        Args:
            values: By name of column; missing ones may be left out or None.
            images: Files, or their bytes.
            patient_id: Only given back.
            roles: Role of each image, where the bundle tells roles apart.

        Raises:
            DataError: A name is unknown, a value is none that its column can hold, an image does
                not say its role, or nothing was given.
        """
        pictures = tuple(
            Picture(f"image {k + 1}", i, role)
            if isinstance(i, bytes)
            else Picture(Path(i).name, Path(i), role)
            for k, (i, role) in enumerate(
                zip(images, roles_of_each(len(images), roles), strict=True)
            )
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
        self.require_something(case)
        squares = []
        for picture in case.pictures if self.encoders.loaded else ():
            try:
                squares.append(self.encoders.decode(picture.read()))
            except UnreadableImage as error:
                raise DataError(f"image {picture.name}: {error.reason}") from None
        return Prepared(case, tuple(squares))

    def score(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Scores patients whose pictures are decoded."""
        if not prepared:
            return []
        batch = self.batch(prepared)
        cases = [p.case for p in prepared]
        with single_thread():
            scores = [self._scores(arm, cases, batch) for arm in self.arms]
            distances = self._distances(cases, batch)
        return [
            self._prediction(case, [own[k] for own in scores], distances[k])
            for k, case in enumerate(cases)
        ]

    def batch(self, prepared: Sequence[Prepared]) -> Batch:
        """Features of patients; all pictures are embedded together."""
        embedded = self.encoders.embed([s for p in prepared for s in p.squares])
        counts = [max(1, len(p.squares)) for p in prepared]
        n = sum(counts)
        owner = np.repeat(np.arange(len(prepared)), counts)
        pictured = np.array([bool(p.squares) for p in prepared], dtype=bool)[owner]
        embeddings = {}
        for name, matrix in embedded.items():
            whole = np.full((n, matrix.shape[1]), np.nan, dtype=np.float32)
            whole[pictured] = matrix
            embeddings[name] = whole
        roles = np.array([r for p in prepared for r in _roles(p)], dtype=object)
        for name in role_names(m for arm in self.arms for m in arm.arm.modalities):
            chosen = pictured & (roles == role_of(name))
            embeddings[name] = mean_of_chosen(embeddings[encoder_of(name)], chosen, owner)
        columns = {}
        for name, column in self._inputs.items():
            given = [p.case.values.get(name) for p in prepared]
            kind = object if column.is_text else np.float64
            values = np.array([np.nan if v is None and not column.is_text else v for v in given],
                              dtype=kind)  # fmt: skip
            columns[name] = values[owner]
        ids = np.array([f"patient {k:06d}" for k in owner], dtype=object)
        table = FeatureTable(
            row_ids=np.array([f"row {k:06d}" for k in range(n)], dtype=object),
            patient_ids=ids,
            groups=ids,
            target=self.scoring.target(np.array([p.case.entry for p in prepared])[owner]),
            embeddings=embeddings,
            columns=pd.DataFrame(columns, index=range(n)),
            dictionary=self._dictionary,
            roles=roles,
        )
        ends = np.cumsum(counts)
        rows = tuple(np.arange(end - count, end) for end, count in zip(ends, counts, strict=True))
        return Batch(table, rows)

    def _prediction(
        self, case: Case, scores: Sequence[ArmScore | None], distances: tuple[ImageDistance, ...]
    ) -> Prediction:
        first = scores[0]
        assert first is not None  # `prepare` refuses a case of which it knows nothing
        seen = {name for arm in self.arms for m in arm.arm.modalities if m.name in first.used
                for name in self._columns(m)}  # fmt: skip
        imputed = {
            name: column.typical
            for name, column in self._inputs.items()
            if name in seen and not self._has_value(case, name)
        }
        return Prediction(
            patient_id=case.patient_id,
            score=first,
            others=tuple(score for score in scores[1:] if score is not None),
            missing=tuple(name for name in self._inputs if name not in case.values),
            imputed=imputed,
            flags=(*case.flags, *_far(distances)),
            distances=distances,
        )

    def _scores(self, arm: LoadedArm, cases: Sequence[Case], batch: Batch) -> list[ArmScore | None]:
        """What an arm says of each patient; None where it knows nothing."""
        used = [tuple(m.name for m in arm.arm.modalities if self._has(c, m)) for c in cases]
        if not any(used):
            return [None] * len(cases)
        return [
            dataclasses.replace(
                score,
                used=own,
                absent=tuple(m.name for m in arm.arm.modalities if m.name not in own),
            )
            if own
            else None
            for score, own in zip(self.scoring.scores(arm, batch), used, strict=True)
        ]

    def _distances(self, cases: Sequence[Case], batch: Batch) -> list[tuple[ImageDistance, ...]]:
        """How far the images of each patient lie from those of training."""
        found: list[list[ImageDistance]] = [[] for _ in cases]
        for record, novelty in self._novelty:
            matrix = batch.table.embeddings[record.encoder]
            for own, case, rows in zip(found, cases, batch.rows, strict=True):
                if case.pictures:
                    for picture, row in zip(case.pictures, rows, strict=True):
                        if record.role not in ("", picture.role):
                            continue
                        d = float(novelty.distances(matrix[[row]])[0])
                        near = novelty.nearer(d)
                        own.append(
                            ImageDistance(picture.name, record.encoder, d, near, record.limit)
                        )
        return [tuple(own) for own in found]

    def knows_something(self, case: Case) -> bool:
        """Whether the first arm looks at anything that the case has."""
        return any(self._has(case, modality) for modality in self.arms[0].arm.modalities)

    def require_something(self, case: Case) -> None:
        """Refuses a case of which the first arm would know nothing.

        Raises:
            DataError: So it is.
        """
        if not self.knows_something(case):
            first = self.arms[0].arm
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
            roles = {role_of(name) for name in modality.embeddings}
            return any("" in roles or picture.role in roles for picture in case.pictures)
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


def _roles(prepared: Prepared) -> list[str]:
    """Role of each of a patient's rows."""
    return [picture.role for picture in prepared.case.pictures] if prepared.squares else [""]


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


def _load_arm(
    bundle: Bundle, record: ModelRecord | TimesModelRecord, scoring: Scoring
) -> LoadedArm:
    try:
        modalities = tuple(Modality.from_record(m) for m in record.modalities)
    except (KeyError, TypeError) as error:
        raise DataError(f"arm {record.arm} of the bundle names no modalities: {error}") from None
    return LoadedArm(
        record,
        Arm(record.arm, record.model, modalities),
        load_model(record.model, bundle.contents, record.state, record.kind),
        scoring.load(record),
        tuple(
            load_model(record.model, bundle.contents, name, record.kind)
            for name in record.replicates
        ),
    )


def _load_novelty(bundle: Bundle, record: NoveltyRecord) -> Novelty:
    arrays = load_arrays(bundle.contents, record.file)
    try:
        return Novelty.from_arrays(arrays)
    except (KeyError, IndexError) as error:
        raise DataError(f"{record.file} of the bundle cannot be used: {error}") from None
