"""What every model owes whoever compares it, whatever the kind of outcome."""

from __future__ import annotations

import abc
import copy
import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from featurestore.config import Section
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.models import find_model, make_model
from fusion.models.settings import Settings
from fusion.testing.tables import CONFIG, bagged, pictured

Parts = tuple[FeatureTable, FeatureTable]
"""Rows to fit, and rows to score."""
Predicted = tuple[np.ndarray, ...]
"""What a model says of n rows: arrays whose first axis is the rows."""


class Watched(dict[str, Section]):
    """Sections of the configuration; `read` has the names of those that were looked at."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        """Stores the sections."""
        super().__init__(sections)
        self.read: set[str] = set()

    def __getitem__(self, section: str) -> Section:
        self.read.add(section)
        return super().__getitem__(section)


def with_files(name: str, kind: str, table: FeatureTable, folder: Path) -> FeatureTable:
    """The table with the pictures or the bags that a model of this name reads."""
    if find_model(name, kind).pictures:
        return pictured(table, folder)
    return bagged(table, folder) if find_model(name, kind).bags else table


def bytes_of(arrays: Predicted) -> list[bytes]:
    """Arrays to the last bit."""
    return [array.tobytes() for array in arrays]


class AnyModelSuite(abc.ABC):
    """Tests of one registered model of any kind of outcome.

    Attributes:
        model: Its name: of an entry point of `melafuse.models`, or as it was registered.
        counts_rows: Names of models for which a patient with more rows may count more.
        kind: Kind of its outcomes.
    """

    model: ClassVar[str] = ""
    counts_rows: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str]

    @classmethod
    @abc.abstractmethod
    def arm(cls, name: str) -> Arm:
        """The arm that the model is made for."""

    @classmethod
    @abc.abstractmethod
    def table(cls, n: int, seed: int) -> FeatureTable:
        """Patients whose outcome a model can learn."""

    @classmethod
    @abc.abstractmethod
    def predicted(cls, model: Any, table: FeatureTable) -> Predicted:
        """What a fitted model says of the rows."""

    @classmethod
    @abc.abstractmethod
    def inner(cls, model: Any) -> np.ndarray:
        """Its predictions of training patients by fits that had not seen them."""

    @classmethod
    @abc.abstractmethod
    def require_sound(cls, predicted: Predicted, n: int) -> None:
        """Asserts that predictions of n rows are what they must be."""

    @classmethod
    def fit(cls, name: str, table: FeatureTable, seed: int = 0) -> Any:
        """A registered model, made as a study makes it and fitted."""
        return make_model(cls.arm(name), CONFIG, None, cls.kind).fit(table, seed)

    @pytest.fixture(scope="class")
    @classmethod
    def name(cls) -> str:
        """The model under test."""
        return cls.model

    @pytest.fixture(scope="class")
    @classmethod
    def parts(cls, name: str, tmp_path_factory: pytest.TempPathFactory) -> Parts:
        """90 training and 30 test patients."""
        table = with_files(name, cls.kind, cls.table(120, 0), tmp_path_factory.mktemp("files"))
        ids = np.unique(table.patient_ids.astype(str))
        return table.of_patients(ids[:90]), table.of_patients(ids[90:])

    @pytest.fixture(scope="class")
    @classmethod
    def handed(cls, name: str) -> Watched:
        """What the model of `fitted` is handed: its sections of the small configuration."""
        return Watched(Settings.of(CONFIG, find_model(name, cls.kind).sections).sections)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, name: str, handed: Watched, parts: Parts) -> Any:
        """The model, fitted once, while it is watched which settings it reads."""
        found = find_model(name, cls.kind)
        return found.load()(cls.arm(name), Settings(handed), **found.fixed).fit(parts[0], 0)

    def test_predictions_are_sound(self, fitted: Any, parts: Parts) -> None:
        """Of every row, also of no row."""
        self.require_sound(self.predicted(fitted, parts[1]), len(parts[1]))
        for array in self.predicted(fitted, parts[1].take(np.array([], dtype=int))):
            assert len(array) == 0

    def test_choices_and_history_are_plain_json(self, fitted: Any) -> None:
        """They are written to `choices.json`."""
        choices = fitted.choices_
        assert choices
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fitted.history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self, name: str, fitted: Any, parts: Parts
    ) -> None:
        """A run can be repeated to the bit."""
        rng = np.random.default_rng(1)
        again = self.fit(name, parts[0].take(rng.permutation(len(parts[0]))))
        shuffle = rng.permutation(len(parts[1]))
        expected = self.predicted(fitted, parts[1])
        assert bytes_of(self.predicted(again, parts[1])) == bytes_of(expected)
        shuffled = self.predicted(again, parts[1].take(shuffle))
        assert bytes_of(shuffled) == [array[shuffle].tobytes() for array in expected]
        assert again.choices_ == fitted.choices_
        assert again.inner_.patient_ids.tolist() == fitted.inner_.patient_ids.tolist()
        assert self.inner(again).tobytes() == self.inner(fitted).tobytes()

    def test_input_is_never_changed(self, name: str, parts: Parts) -> None:
        """All arms of a fold share one table."""
        given = copy.deepcopy(parts[0])
        target = given.target
        arrays = [target.event, given.row_ids, given.patient_ids, *given.embeddings.values()]
        arrays += [array for array in (target.time, target.entry) if array is not None]
        for array in arrays:
            array.flags.writeable = False
        self.predicted(self.fit(name, given), given)
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)
        assert given.y.tobytes() == parts[0].y.tobytes()
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()

    def test_missing_and_unknown_values_are_scored(self, fitted: Any, parts: Parts) -> None:
        """New patients lack pictures and columns, and have levels that training had not."""
        test = parts[1]
        columns = test.columns.assign(sex="other", breslow=np.nan)
        columns.loc[:, columns.columns.str.startswith("GENE")] = np.nan
        nowhere = np.full(len(test), "", dtype=object)
        files = test.files and dataclasses.replace(test.files, paths=nowhere, sha256s=nowhere)
        nothing = {n: np.full_like(m, np.nan) for n, m in test.embeddings.items()}
        blind = dataclasses.replace(test, columns=columns, embeddings=nothing, files=files)
        self.require_sound(self.predicted(fitted, blind), len(test))

    def test_a_second_fit_keeps_nothing_of_the_first(
        self, name: str, fitted: Any, parts: Parts, tmp_path: Path
    ) -> None:
        """Whoever fits the same object again gets a fresh fit."""
        other = with_files(name, self.kind, self.table(90, 7), tmp_path)
        model = self.fit(name, other, seed=1)
        first = model.inner_, model.choices_, model.history_
        before = copy.deepcopy(first)
        model.fit(parts[0], 0)
        assert model.choices_ == fitted.choices_
        assert model.history_ == fitted.history_
        assert model.inner_.patient_ids.tolist() == fitted.inner_.patient_ids.tolist()
        assert self.inner(model).tobytes() == self.inner(fitted).tobytes()
        expected = self.predicted(fitted, parts[1])
        assert bytes_of(self.predicted(model, parts[1])) == bytes_of(expected)
        assert first[0].patient_ids.tolist() == before[0].patient_ids.tolist()
        assert first[1:] == before[1:]

    def test_exactly_the_declared_sections_are_read(
        self, name: str, fitted: Any, parts: Parts, handed: Watched
    ) -> None:
        """One read and not declared would leave stale parts; one declared only, needless fits."""
        self.predicted(fitted, parts[1])
        assert handed.read == set(find_model(name, self.kind).sections)

    def test_rows_of_a_patient_do_not_count_more(
        self, name: str, fitted: Any, parts: Parts
    ) -> None:
        """Every row twice is the same study: nothing depends on the number of images."""
        if name in self.counts_rows:
            pytest.skip("batches, bagging or leaf sizes count rows")
        once = parts[0]
        doubled = once.take(np.tile(np.arange(len(once)), 2))
        doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
        found = self.predicted(self.fit(name, doubled), parts[1])
        for array, expected in zip(found, self.predicted(fitted, parts[1]), strict=True):
            np.testing.assert_allclose(array, expected, atol=2e-3)

    def test_fits_are_silent(
        self, name: str, parts: Parts, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A study fits hundreds of times."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.fit(name, parts[0])
        assert capfd.readouterr() == ("", "")
