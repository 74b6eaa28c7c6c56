"""What every model of a binary outcome owes whoever compares it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.metrics import auroc, by_patient
from fusion.models import Model, find_model, inner_threshold
from fusion.testing.any_model import AnyModelSuite, Parts, Predicted
from fusion.testing.tables import MODALITIES, feature_table


def whole_arm(model: str, modalities: tuple[Modality, ...] = MODALITIES) -> Arm:
    """The arm of a model; one that trains on pictures looks at those of the table (`net_p`)."""
    if find_model(model).pictures:
        pictures = Modality("net_p", embeddings=("net_p",))
        modalities = tuple(pictures if m.embeddings else m for m in modalities)
    return Arm(f"{model}[all]", model, modalities)


def learns_what_is_planted(name: str) -> None:
    """Asserts that a model ranks new patients by what 300 others taught it, and knows the level."""
    table = feature_table(600)
    ids = np.unique(table.patient_ids.astype(str))
    model = fit_model(name, table.of_patients(ids[:300]))
    test = table.of_patients(ids[300:])
    _, y, score = by_patient(test.patient_ids, test.y, model.predict_proba(test))
    assert auroc(y, score)[0] > 0.75
    inner = model.inner_
    assert auroc(inner.y, inner.probability)[0] > 0.7
    # Probabilities are probabilities: their mean is near the prevalence.
    assert abs(float(np.mean(inner.probability - inner.y))) < 0.05


class ModelSuite(AnyModelSuite):
    """Tests of one registered model of a binary outcome; subclass it, and name the model."""

    kind: ClassVar[str] = "binary"

    @classmethod
    def arm(cls, name: str) -> Arm:
        """All modalities."""
        return whole_arm(name)

    @classmethod
    def table(cls, n: int, seed: int) -> FeatureTable:
        """Patients with several images, columns and genes."""
        return feature_table(n, seed)

    @classmethod
    def predicted(cls, model: Model, table: FeatureTable) -> Predicted:
        """The probability of each row."""
        return (model.predict_proba(table),)

    @classmethod
    def inner(cls, model: Model) -> np.ndarray:
        """Probabilities of training patients."""
        return model.inner_.probability

    @classmethod
    def require_sound(cls, predicted: Predicted, n: int) -> None:
        """One finite number from 0 to 1 a row."""
        (probability,) = predicted
        assert probability.shape == (n,)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()

    def test_inner_predictions_are_on_training_patients_with_their_outcome(
        self, fitted: Model, parts: Parts
    ) -> None:
        """What calibration and threshold are fitted on."""
        inner = fitted.inner_
        outcome = dict(zip(parts[0].patient_ids, parts[0].y, strict=True))
        assert len(inner.patient_ids) == len(inner.y) == len(inner.probability) > 0
        assert len(set(inner.patient_ids)) == len(inner.patient_ids)
        assert set(inner.patient_ids) <= set(outcome)
        assert ((inner.probability >= 0) & (inner.probability <= 1)).all()
        assert set(np.unique(inner.y)) == {0.0, 1.0}
        assert [outcome[p] for p in inner.patient_ids] == inner.y.tolist()
        assert 0 <= inner_threshold(inner) <= 1

    def test_one_outcome_is_refused(self, name: str, parts: Parts) -> None:
        """In one line that says so."""
        for y in (0.0, 1.0):
            one = dataclasses.replace(parts[0], target=Target.binary(np.full(len(parts[0]), y)))
            with pytest.raises(DataError):
                self.fit(name, one)


def fit_model(name: str, table: FeatureTable, seed: int = 0) -> Model:
    """A registered model, made as a study makes it and fitted."""
    model: Model = ModelSuite.fit(name, table, seed)
    return model
