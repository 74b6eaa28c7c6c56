"""What every model of times to an event owes whoever compares it."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.models import find_model, make_model
from fusion.models.survival import SurvivalModel, SurvivalPrediction, cut_points
from fusion.models.survival.patients import patients_of
from fusion.testing.models import Parts, Watched, fit_watched, handed_to
from fusion.testing.tables import bagged
from fusion.testing.times import CONFIG, HARD, HORIZONS, MODALITIES, times_table

AT = np.array([*HORIZONS, 1e6])
"""Horizons; the last lies beyond all follow-up."""
KIND = "time_to_event"


def fit_times(name: str, table: FeatureTable, seed: int = 0) -> SurvivalModel:
    """A registered model, made as a study makes it and fitted."""
    model: SurvivalModel = make_model(Arm(name, name, MODALITIES), CONFIG, None, KIND)
    return model.fit(table, seed)


def require_sound(prediction: SurvivalPrediction, n: int) -> None:
    """Asserts that risks are probabilities that rise, and unknown beyond all follow-up."""
    assert prediction.score.shape == (n,)
    assert prediction.risk.shape == (n, len(AT))
    assert np.isfinite(prediction.score).all()
    known = prediction.risk[:, :-1]
    assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(known, axis=1) >= 0).all()
    assert np.isnan(prediction.risk[:, -1]).all()


def same(one: SurvivalPrediction, other: SurvivalPrediction) -> bool:
    """Whether two predictions are the same to the bit."""
    return (
        one.score.tobytes() == other.score.tobytes() and one.risk.tobytes() == other.risk.tobytes()
    )


class SurvivalModelSuite:
    """Tests of one registered model of times to an event; subclass it, and name the model.

    Attributes:
        model: Its name: of an entry point of `melafuse.models`, or as it was registered.
        counts_rows: Names of models for which a patient with more rows may count more.
        delayed_entry: Whether it knows patients who come under observation late. One that does not
            must refuse them.
    """

    model: ClassVar[str] = ""
    counts_rows: ClassVar[tuple[str, ...]] = ()
    delayed_entry: ClassVar[bool] = True

    @pytest.fixture(scope="class")
    @classmethod
    def name(cls) -> str:
        """The model under test."""
        return cls.model

    @pytest.fixture(scope="class")
    @classmethod
    def parts(cls, name: str, tmp_path_factory: pytest.TempPathFactory) -> Parts:
        """90 training and 30 test patients with ties, a competing event, and delayed entry."""
        design = HARD if cls.delayed_entry else dataclasses.replace(HARD, late=0.0)
        table, _ = times_table(120, 0, design)
        if find_model(name, KIND).bags:
            table = bagged(table, tmp_path_factory.mktemp("bags"))
        ids = np.unique(table.patient_ids.astype(str))
        return table.of_patients(ids[:90]), table.of_patients(ids[90:])

    @pytest.fixture(scope="class")
    @classmethod
    def handed(cls, name: str) -> Watched:
        """What the model of `fitted` is handed."""
        return handed_to(name, KIND)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, name: str, handed: Watched, parts: Parts) -> SurvivalModel:
        """The model, fitted once."""
        arm = Arm(name, name, MODALITIES)
        model: SurvivalModel = fit_watched(name, arm, handed, parts[0], KIND)
        return model

    def test_risks_rise_with_the_horizon_and_end_with_follow_up(
        self, fitted: SurvivalModel, parts: Parts
    ) -> None:
        """Risks are cumulative, and nobody knows more than training patients showed."""
        require_sound(fitted.predict(parts[1], AT), len(parts[1]))
        nobody = fitted.predict(parts[1].take(np.array([], dtype=int)), AT)
        assert nobody.score.shape == (0,)
        assert nobody.risk.shape == (0, len(AT))

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

    def test_choices_and_history_are_plain_json(self, fitted: SurvivalModel) -> None:
        """They are written to `choices.json`."""
        choices = fitted.choices_
        assert choices["risk_scale"]["slope"] >= 0
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fitted.history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self, name: str, fitted: SurvivalModel, parts: Parts
    ) -> None:
        """A run can be repeated to the bit."""
        rng = np.random.default_rng(1)
        again = fit_times(name, parts[0].take(rng.permutation(len(parts[0]))))
        shuffle = rng.permutation(len(parts[1]))
        expected = fitted.predict(parts[1], AT)
        assert same(again.predict(parts[1], AT), expected)
        shuffled = again.predict(parts[1].take(shuffle), AT)
        assert same(shuffled, SurvivalPrediction(expected.score[shuffle], expected.risk[shuffle]))
        assert again.choices_ == fitted.choices_
        inner, other = fitted.inner_, again.inner_
        assert inner.patient_ids.tolist() == other.patient_ids.tolist()
        assert inner.score.tobytes() == other.score.tobytes()

    def test_input_is_never_changed(self, name: str, parts: Parts) -> None:
        """All arms of a fold share one table."""
        given = copy.deepcopy(parts[0])
        target = given.target
        assert target.time is not None
        assert target.entry is not None
        arrays = (target.event, target.time, target.entry, given.row_ids, given.patient_ids)
        for array in (*arrays, *given.embeddings.values()):
            array.flags.writeable = False
        fit_times(name, given).predict(given, AT)
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)

    def test_missing_and_unknown_values_are_scored(
        self, fitted: SurvivalModel, parts: Parts
    ) -> None:
        """New patients lack pictures and columns, and have levels that training had not."""
        test = parts[1]
        columns = test.columns.assign(sex="other", breslow=np.nan)
        nothing = {n: np.full_like(m, np.nan) for n, m in test.embeddings.items()}
        blind = dataclasses.replace(test, columns=columns, embeddings=nothing)
        require_sound(fitted.predict(blind, AT), len(test))

    def test_a_second_fit_keeps_nothing_of_the_first(
        self, name: str, fitted: SurvivalModel, parts: Parts, tmp_path: Path
    ) -> None:
        """Whoever fits the same object again gets a fresh fit."""
        other, _ = times_table(100, 7)
        if find_model(name, KIND).bags:
            other = bagged(other, tmp_path)
        model = fit_times(name, other, seed=1)
        model.fit(parts[0], 0)
        assert model.choices_ == fitted.choices_
        assert model.history_ == fitted.history_
        assert model.inner_.score.tobytes() == fitted.inner_.score.tobytes()
        assert same(model.predict(parts[1], AT), fitted.predict(parts[1], AT))

    def test_exactly_the_declared_sections_are_read(
        self, name: str, fitted: SurvivalModel, parts: Parts, handed: Watched
    ) -> None:
        """One read and not declared would leave stale parts; one declared only, needless fits."""
        fitted.predict(parts[1], AT)
        assert handed.read == set(find_model(name, KIND).sections)

    def test_what_cannot_be_learned_from_is_one_line(self, name: str, parts: Parts) -> None:
        """No event, another kind of outcome, follow-up that ends before it begins."""
        target = parts[0].target
        assert target.time is not None
        censored = Target.time_to_event(np.zeros(len(target)), target.time)
        with pytest.raises(DataError, match="no event to learn from"):
            fit_times(name, dataclasses.replace(parts[0], target=censored))
        binary = dataclasses.replace(parts[0], target=Target.binary(target.event))
        with pytest.raises(DataError, match="outcomes of the kind 'binary'"):
            fit_times(name, binary)
        late = Target.time_to_event(target.event, target.time, target.time + 1)
        with pytest.raises(DataError, match="entry is at or after exit"):
            fit_times(name, dataclasses.replace(parts[0], target=late))

    def test_delayed_entry_is_known_or_refused(self, name: str, parts: Parts) -> None:
        """It is never ignored: risk sets without it are wrong."""
        entry = parts[0].target.entry
        assert entry is not None
        assert (entry > 0).any() == self.delayed_entry
        if not self.delayed_entry:
            table, _ = times_table(60, 0, HARD)
            with pytest.raises(DataError, match="knows no delayed entry"):
                fit_times(name, table)

    def test_everybody_had_the_event_at_few_times(self, name: str, parts: Parts) -> None:
        """Nobody is censored, and events are tied everywhere."""
        target = parts[0].target
        assert target.time is not None
        tied = np.ceil(target.time / 900) * 900
        everybody = Target.time_to_event(np.ones(len(tied)), tied)
        table = dataclasses.replace(parts[0], target=everybody)
        prediction = fit_times(name, table).predict(parts[1], np.array(HORIZONS))
        assert np.isfinite(prediction.score).all()
        assert np.isfinite(prediction.risk).all()

    def test_rows_of_a_patient_do_not_count_more(
        self, name: str, fitted: SurvivalModel, parts: Parts
    ) -> None:
        """Every row twice is the same study: nothing depends on the number of images."""
        if name in self.counts_rows:
            pytest.skip("batches, bagging or leaf sizes count rows")
        once = parts[0]
        doubled = once.take(np.tile(np.arange(len(once)), 2))
        doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
        expected, found = (m.predict(parts[1], AT) for m in (fitted, fit_times(name, doubled)))
        np.testing.assert_allclose(found.score, expected.score, atol=2e-3)
        np.testing.assert_allclose(found.risk, expected.risk, atol=2e-3)

    def test_fits_are_silent(
        self, name: str, parts: Parts, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A study fits hundreds of times."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit_times(name, parts[0])
        assert capfd.readouterr() == ("", "")
