"""What every model of a binary outcome owes whoever compares it."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.arms import Arm, Modality
from fusion.features import FeatureTable
from fusion.metrics import auroc, by_patient
from fusion.models import Model, find_model, inner_threshold, make_model
from fusion.models.settings import Settings
from fusion.testing.tables import CONFIG, MODALITIES, bagged, feature_table, pictured

Parts = tuple[FeatureTable, FeatureTable]
"""Rows to fit, and rows to score."""


class Watched(dict[str, Section]):
    """Sections of the configuration; `read` has the names of those that were looked at."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        """Stores the sections."""
        super().__init__(sections)
        self.read: set[str] = set()

    def __getitem__(self, section: str) -> Section:
        self.read.add(section)
        return super().__getitem__(section)


def whole_arm(model: str, modalities: tuple[Modality, ...] = MODALITIES) -> Arm:
    """The arm of a model; one that trains on pictures looks at those of the table (`net_p`)."""
    if find_model(model).pictures:
        pictures = Modality("net_p", embeddings=("net_p",))
        modalities = tuple(pictures if m.embeddings else m for m in modalities)
    return Arm(f"{model}[all]", model, modalities)


def fit_model(name: str, table: FeatureTable, seed: int = 0) -> Model:
    """A registered model, made as a study makes it and fitted."""
    model: Model = make_model(whole_arm(name), CONFIG)
    return model.fit(table, seed)


def handed_to(name: str, kind: str = "binary") -> Watched:
    """The sections of the small configuration that a model is handed."""
    return Watched(Settings.of(CONFIG, find_model(name, kind).sections).sections)


def fit_watched(name: str, arm: Arm, handed: Watched, table: FeatureTable, kind: str) -> Any:
    """A registered model, fitted while it is watched which settings it reads."""
    found = find_model(name, kind)
    return found.load()(arm, Settings(handed), **found.fixed).fit(table, 0)


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


class ModelSuite:
    """Tests of one registered model of a binary outcome; subclass it, and name the model.

    Attributes:
        model: Its name: of an entry point of `melafuse.models`, or as it was registered.
        counts_rows: Names of models for which a patient with more rows may count more.
    """

    model: ClassVar[str] = ""
    counts_rows: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def name(cls) -> str:
        """The model under test."""
        return cls.model

    @pytest.fixture(scope="class")
    @classmethod
    def parts(cls, name: str, tmp_path_factory: pytest.TempPathFactory) -> Parts:
        """90 training and 30 test patients."""
        table = feature_table()
        if find_model(name).pictures:
            table = pictured(table, tmp_path_factory.mktemp("pictures"))
        if find_model(name).bags:
            table = bagged(table, tmp_path_factory.mktemp("bags"))
        ids = np.unique(table.patient_ids.astype(str))
        return table.of_patients(ids[:90]), table.of_patients(ids[90:])

    @pytest.fixture(scope="class")
    @classmethod
    def handed(cls, name: str) -> Watched:
        """What the model of `fitted` is handed."""
        return handed_to(name)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, name: str, handed: Watched, parts: Parts) -> Model:
        """The model, fitted once."""
        model: Model = fit_watched(name, whole_arm(name), handed, parts[0], "binary")
        return model

    def test_probabilities(self, fitted: Model, parts: Parts) -> None:
        """One finite number from 0 to 1 a row, also for no row."""
        probability = fitted.predict_proba(parts[1])
        assert probability.shape == (len(parts[1]),)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()
        assert fitted.predict_proba(parts[1].take(np.array([], dtype=int))).shape == (0,)

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

    def test_choices_and_history_are_plain_json(self, fitted: Model) -> None:
        """They are written to `choices.json`."""
        choices = fitted.choices_
        assert choices
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fitted.history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self, name: str, fitted: Model, parts: Parts
    ) -> None:
        """A run can be repeated to the bit."""
        rng = np.random.default_rng(1)
        again = fit_model(name, parts[0].take(rng.permutation(len(parts[0]))))
        shuffle = rng.permutation(len(parts[1]))
        expected = fitted.predict_proba(parts[1])
        assert again.predict_proba(parts[1]).tobytes() == expected.tobytes()
        shuffled = again.predict_proba(parts[1].take(shuffle))
        assert shuffled.tobytes() == expected[shuffle].tobytes()
        assert again.choices_ == fitted.choices_
        inner, other = fitted.inner_, again.inner_
        assert inner.patient_ids.tolist() == other.patient_ids.tolist()
        assert inner.probability.tobytes() == other.probability.tobytes()

    def test_input_is_never_changed(self, name: str, parts: Parts) -> None:
        """All arms of a fold share one table."""
        given = copy.deepcopy(parts[0])
        for array in (given.y, given.row_ids, given.patient_ids, *given.embeddings.values()):
            array.flags.writeable = False
        model = fit_model(name, given)
        model.predict_proba(given)
        assert given.y.tobytes() == parts[0].y.tobytes()
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()

    def test_missing_and_unknown_values_are_scored(self, fitted: Model, parts: Parts) -> None:
        """New patients lack pictures and columns, and have levels that training had not."""
        test = parts[1]
        columns = test.columns.copy()
        columns["sex"] = "other"
        columns["breslow"] = np.nan
        columns[[f"GENE{i}" for i in range(6)]] = np.nan
        nowhere = np.full(len(test), "", dtype=object)
        files = test.files and dataclasses.replace(test.files, paths=nowhere, sha256s=nowhere)
        blind = dataclasses.replace(
            test,
            columns=columns,
            embeddings={n: np.full_like(m, np.nan) for n, m in test.embeddings.items()},
            files=files,
        )
        probability = fitted.predict_proba(blind)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()

    def test_a_second_fit_keeps_nothing_of_the_first(
        self, name: str, fitted: Model, parts: Parts
    ) -> None:
        """Whoever fits the same object again gets a fresh fit."""
        other = parts[0].take(np.arange(len(parts[0])) >= 25)
        model = fit_model(name, other, seed=1)
        first = model.inner_, model.choices_, model.history_
        before = copy.deepcopy(first)
        model.fit(parts[0], 0)
        assert model.choices_ == fitted.choices_
        assert model.history_ == fitted.history_
        assert model.inner_.patient_ids.tolist() == fitted.inner_.patient_ids.tolist()
        assert model.inner_.probability.tobytes() == fitted.inner_.probability.tobytes()
        expected = fitted.predict_proba(parts[1])
        assert model.predict_proba(parts[1]).tobytes() == expected.tobytes()
        assert first[0].probability.tobytes() == before[0].probability.tobytes()
        assert first[1:] == before[1:]

    def test_exactly_the_declared_sections_are_read(
        self, name: str, fitted: Model, parts: Parts, handed: Watched
    ) -> None:
        """One read and not declared would leave stale parts; one declared only, needless fits."""
        fitted.predict_proba(parts[1])
        assert handed.read == set(find_model(name).sections)

    def test_one_outcome_is_refused(self, name: str, parts: Parts) -> None:
        """In one line that says so."""
        for y in (0.0, 1.0):
            one = dataclasses.replace(parts[0], target=Target.binary(np.full(len(parts[0]), y)))
            with pytest.raises(DataError):
                fit_model(name, one)

    def test_rows_of_a_patient_do_not_count_more(
        self, name: str, fitted: Model, parts: Parts
    ) -> None:
        """Every row twice is the same study: nothing depends on the number of images."""
        if name in self.counts_rows:
            pytest.skip("batches, bagging or leaf sizes count rows")
        once = parts[0]
        doubled = once.take(np.tile(np.arange(len(once)), 2))
        doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
        found = fit_model(name, doubled).predict_proba(parts[1])
        np.testing.assert_allclose(found, fitted.predict_proba(parts[1]), atol=2e-3)

    def test_fits_are_silent(
        self, name: str, parts: Parts, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A study fits hundreds of times."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fit_model(name, parts[0])
        assert capfd.readouterr() == ("", "")
