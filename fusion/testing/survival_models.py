"""What every model of times to an event owes whoever compares it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.models.survival import SurvivalModel, cut_points
from fusion.models.survival.patients import patients_of
from fusion.testing.any_model import AnyModelSuite, Parts, Predicted
from fusion.testing.times import HARD, HORIZONS, MODALITIES, times_table

AT = np.array([*HORIZONS, 1e6])
"""Horizons; the last lies beyond all follow-up."""


class SurvivalModelSuite(AnyModelSuite):
    """Tests of one registered model of times to an event; subclass it, and name the model.

    Attributes:
        delayed_entry: Whether it knows patients who come under observation late. One that does not
            must refuse them.
    """

    kind: ClassVar[str] = "time_to_event"
    delayed_entry: ClassVar[bool] = True

    @classmethod
    def arm(cls, name: str) -> Arm:
        """All modalities."""
        return Arm(name, name, MODALITIES)

    @classmethod
    def table(cls, n: int, seed: int) -> FeatureTable:
        """Patients with ties, a competing event, and delayed entry where the model knows it."""
        design = HARD if cls.delayed_entry else dataclasses.replace(HARD, late=0.0)
        return times_table(n, seed, design)[0]

    @classmethod
    def predicted(cls, model: SurvivalModel, table: FeatureTable) -> Predicted:
        """Log hazard ratio of each row, and risks by the horizons."""
        prediction = model.predict(table, AT)
        return prediction.score, prediction.risk

    @classmethod
    def inner(cls, model: SurvivalModel) -> np.ndarray:
        """Log hazard ratios of training patients."""
        return model.inner_.score

    @classmethod
    def require_sound(cls, predicted: Predicted, n: int) -> None:
        """Risks are probabilities that rise, and unknown beyond all follow-up."""
        score, risk = predicted
        assert score.shape == (n,)
        assert risk.shape == (n, len(AT))
        assert np.isfinite(score).all()
        known = risk[:, :-1]
        assert ((known >= 0) & (known <= 1)).all()
        assert (np.diff(known, axis=1) >= 0).all()
        assert np.isnan(risk[:, -1]).all()

    def test_all_rows_of_a_patient_get_the_same(self, fitted: SurvivalModel, parts: Parts) -> None:
        """A patient has one time to the event."""
        score = fitted.predict(parts[1], AT).score
        by_patient = pd.Series(score).groupby(parts[1].patient_ids).nunique()
        assert (by_patient == 1).all()

    def test_inner_scores_are_of_training_patients_with_their_times(
        self, fitted: SurvivalModel, parts: Parts
    ) -> None:
        """What scales of risk and risk groups are fitted on."""
        inner, patients = fitted.inner_, patients_of(parts[0])
        place = {patient: k for k, patient in enumerate(patients.ids)}
        rows = np.array([place[patient] for patient in inner.patient_ids])
        assert len(set(inner.patient_ids)) == len(inner.patient_ids) > 0
        assert inner.score.shape == inner.patient_ids.shape
        assert np.isfinite(inner.score).all()
        assert inner.times.time.tolist() == patients.times.time[rows].tolist()
        assert inner.times.event.tolist() == patients.times.event[rows].tolist()
        assert np.isfinite(cut_points(inner.patient_ids, inner.score)).all()

    def test_the_scale_of_risks_is_recorded(self, fitted: SurvivalModel) -> None:
        """A higher score is never a lower risk."""
        assert fitted.choices_["risk_scale"]["slope"] >= 0

    def test_what_cannot_be_learned_from_is_one_line(self, name: str, parts: Parts) -> None:
        """No event, another kind of outcome, follow-up that ends before it begins."""
        target = parts[0].target
        assert target.time is not None
        censored = Target.time_to_event(np.zeros(len(target)), target.time)
        with pytest.raises(DataError, match="no event to learn from"):
            self.fit(name, dataclasses.replace(parts[0], target=censored))
        binary = dataclasses.replace(parts[0], target=Target.binary(target.event))
        with pytest.raises(DataError, match="outcomes of the kind 'binary'"):
            self.fit(name, binary)
        late = Target.time_to_event(target.event, target.time, target.time + 1)
        with pytest.raises(DataError, match="entry is at or after exit"):
            self.fit(name, dataclasses.replace(parts[0], target=late))

    def test_delayed_entry_is_known_or_refused(self, name: str, parts: Parts) -> None:
        """It is never ignored: risk sets without it are wrong."""
        entry = parts[0].target.entry
        assert entry is not None
        assert (entry > 0).any() == self.delayed_entry
        if not self.delayed_entry:
            table, _ = times_table(60, 0, HARD)
            with pytest.raises(DataError, match="knows no delayed entry"):
                self.fit(name, table)

    def test_everybody_had_the_event_at_few_times(self, name: str, parts: Parts) -> None:
        """Nobody is censored, and events are tied everywhere."""
        target = parts[0].target
        assert target.time is not None
        tied = np.ceil(target.time / 900) * 900
        everybody = Target.time_to_event(np.ones(len(tied)), tied)
        table = dataclasses.replace(parts[0], target=everybody)
        prediction = self.fit(name, table).predict(parts[1], np.array(HORIZONS))
        assert np.isfinite(prediction.score).all()
        assert np.isfinite(prediction.risk).all()


def fit_times(name: str, table: FeatureTable, seed: int = 0) -> SurvivalModel:
    """A registered model, made as a study makes it and fitted."""
    model: SurvivalModel = SurvivalModelSuite.fit(name, table, seed)
    return model
