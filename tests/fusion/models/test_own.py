"""Models that are no part of melafuse: what they are named by, and that they are fitted alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_example import install
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from featurestore.errors import ConfigError, DataError
from fusion.arms import Modality
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.metrics import logit
from fusion.models import find_model, own, own_model, own_names, register_model, relevant_settings
from fusion.models.own_estimator import OwnClassifier
from fusion.testing import ModelSuite, SurvivalModelSuite
from fusion.testing.models import fit_model, learns_what_is_planted, whole_arm
from fusion.testing.tables import CONFIG

Parts = tuple[FeatureTable, FeatureTable]


@pytest.fixture(autouse=True, scope="module")
def _registry() -> Iterator[None]:
    """Registers models for this module only."""
    register_model("knn", make_pipeline(StandardScaler(), KNeighborsClassifier(15)))
    register_model("forest", RandomForestClassifier(20))
    yield
    own._registered.clear()


class TestOwnClassifier(ModelSuite):
    model = "forest"


class TestOwnSurvival(SurvivalModelSuite):
    model = "cox_of_sksurv"
    delayed_entry = False

    @pytest.fixture(scope="class")
    @classmethod
    def name(cls) -> str:
        linear = pytest.importorskip("sksurv.linear_model", reason="scikit-survival is not there")
        register_model(cls.model, linear.CoxPHSurvivalAnalysis(alpha=1.0))
        return cls.model


def test_a_pipeline_learns_what_is_planted() -> None:
    learns_what_is_planted("knn")


def test_it_is_the_estimator_on_the_mean_rows_of_patients(
    parts: Parts, modalities: tuple[Modality, ...]
) -> None:
    """Scikit-learn called by hand gives the same probabilities."""
    training, test = parts
    register_model("boosted", HistGradientBoostingClassifier(max_iter=20))
    found = fit_model("boosted", training, seed=7).predict_proba(test)
    encoder = TabularEncoder(modalities, CONFIG.metadata).fit(training)

    def patients(table: FeatureTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ids = np.unique(table.patient_ids.astype(str))
        x = encoder.transform(table)
        rows = [table.patient_ids == patient for patient in ids]
        return (
            ids,
            np.stack([x[r].mean(axis=0) for r in rows]),
            np.array([table.y[r][0] for r in rows]),
        )

    _, x, y = patients(training)
    by_hand = HistGradientBoostingClassifier(max_iter=20, random_state=7).fit(x, y)
    ids, x, _ = patients(test)
    expected = dict(zip(ids, by_hand.predict_proba(x)[:, 1], strict=True))
    np.testing.assert_allclose(found, [expected[p] for p in test.patient_ids], atol=1e-12)


def times(factor: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x * factor


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (LogisticRegression(C=1.0), LogisticRegression(C=2.0)),
        (LogisticRegression(), RandomForestClassifier()),
        (
            make_pipeline(StandardScaler(), LogisticRegression(C=1.0)),
            make_pipeline(StandardScaler(), LogisticRegression(C=2.0)),
        ),
        (
            make_pipeline(FunctionTransformer(np.abs), LogisticRegression()),
            make_pipeline(FunctionTransformer(np.square), LogisticRegression()),
        ),
        (
            make_pipeline(FunctionTransformer(partial(np.clip, a_min=0)), LogisticRegression()),
            make_pipeline(FunctionTransformer(partial(np.clip, a_min=1)), LogisticRegression()),
        ),
        (
            make_pipeline(FunctionTransformer(times(2)), LogisticRegression()),
            make_pipeline(FunctionTransformer(times(3)), LogisticRegression()),
        ),
        (LogisticRegression(class_weight={0: 1}), LogisticRegression(class_weight={0: 2})),
        (DummyClassifier(constant=np.array([0, 1])), DummyClassifier(constant=np.array([1, 0]))),
    ],
    ids=[
        "parameter",
        "class",
        "inside a pipeline",
        "function",
        "partial",
        "closure",
        "mapping",
        "array",
    ],
)
def test_parts_are_named_by_class_and_parameters(one: Any, other: Any, tmp_path: Path) -> None:
    records = []
    for estimator in (one, other, one):
        register_model("named", estimator)
        records.append(relevant_settings(whole_arm("named"), CONFIG, tmp_path)["brought"])
    assert records[0] == records[2] != records[1]
    assert all("scikit-learn" in str(record) for record in records)


def test_code_of_no_package_is_named_by_its_source_or_by_a_version() -> None:
    class Mine(LogisticRegression):
        pass

    assert len(own_model(Mine()).brought["source"]) == 64
    made: dict[str, Any] = {}
    exec("class Typed:\n    def fit(self, x, y): ...\n    def predict_proba(self, x): ...", made)
    made["Typed"].__module__ = "nowhere"
    with pytest.raises(ConfigError, match=r"^Typed: the source of Typed cannot be read.*version="):
        own_model(made["Typed"])
    assert own_model(made["Typed"], version="3").brought["version"] == "3"
    with pytest.raises(ConfigError, match="random_state: give a whole number"):
        own_model(RandomForestClassifier(random_state=np.random.RandomState(0)))
    pipeline = make_pipeline(FunctionTransformer(Path), LogisticRegression(C=Path()))  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"^pipe\.steps\[1\]\[1\]\.C is a PosixPath, which nothing"
    ):
        own_model(pipeline, called="pipe")


def test_what_is_no_model_is_one_line() -> None:
    with pytest.raises(ConfigError, match="StandardScaler: it has neither predict_proba nor"):
        own_model(StandardScaler())
    with pytest.raises(ConfigError, match="StandardScaler: it lacks predict_proba, which a model"):
        own_model(StandardScaler(), outcome="binary")
    with pytest.raises(ConfigError, match=r"model name 'a\[b\]': use letters"):
        register_model("a[b]", LogisticRegression())
    for taken in ("lightgbm", "cox_ridge"):
        with pytest.raises(ConfigError, match=f"model name '{taken}' is that of a model of melafu"):
            register_model(taken, LogisticRegression())
    with pytest.raises(ConfigError, match="'forest' is for outcomes of the kind 'binary'"):
        find_model("forest", "time_to_event")
    with pytest.raises(ConfigError, match=r"unknown model 'os:system'; known: fusion_head.*forest"):
        find_model("os:system")


class Failing(LogisticRegression):
    """Raises, or answers with what is no probability."""

    def __init__(self, answer: Any = None) -> None:
        super().__init__()
        self.answer = answer

    def fit(self, X: np.ndarray, y: np.ndarray) -> Failing:
        if self.answer is None:
            raise ValueError("two\nlines")
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.full((len(X), self.answer[0]), self.answer[1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, r"^bad could not be fitted \(ValueError: two lines\)$"),
        ((3, 0.1), r"^bad: predict_proba gave \(\d+, 3\) for \d+ patients; it must give a column"),
        ((2, np.nan), r"^bad: predict_proba gave values that are no probabilities$"),
        ((2, 1.5), r"^bad: predict_proba gave values that are no probabilities$"),
    ],
)
def test_what_an_estimator_does_wrong_is_one_line(answer: Any, message: str, parts: Parts) -> None:
    register_model("bad", Failing(answer))
    with pytest.raises(DataError, match=message):
        fit_model("bad", parts[0])


def test_constant_probabilities_rank_nobody(parts: Parts) -> None:
    register_model("constant", DummyClassifier(strategy="prior"))
    assert np.ptp(logit(fit_model("constant", parts[0]).predict_proba(parts[1]))) == 0


def test_an_entry_point_is_named_by_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for version in ("1.0", "2.0"):
        monkeypatch.delitem(sys.modules, "mine", raising=False)
        place = install(tmp_path / version, version)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(place))
            own._registered.pop("boosted", None)
            assert own_names()[-1] == "boosted"
            kind = find_model("boosted")
            assert kind.load() is OwnClassifier
            found.append(relevant_settings(whole_arm("boosted"), CONFIG, tmp_path)["brought"])
    assert [record["version"] for record in found] == ["1.0", "2.0"]
    assert {record["package"] for record in found} == {"melafuse-mine"}
    sys.modules.pop("mine", None)
