"""One conformance suite for every registered model."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import pytest

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import by_patient
from fusion.models.base import Model
from fusion.models.grid import Forest
from fusion.models.registry import MODELS
from fusion.models.settings import Settings
from fusion.models.thresholds import inner_threshold

NAMES = sorted(MODELS)
Parts = tuple[FeatureTable, FeatureTable]
Fitter = Callable[..., Model]
COUNT_ROWS = (
    "fusion_head",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "joint",
    "lightgbm",
    "random_forest",
    "stacked",
)
"""Weights balance their losses, but batches, bagging and leaf sizes count rows."""


class Watched(dict[str, Section]):
    """Sections of the configuration; `read` has the names of those that were looked at."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        super().__init__(sections)
        self.read: set[str] = set()

    def __getitem__(self, section: str) -> Section:
        self.read.add(section)
        return super().__getitem__(section)


@pytest.fixture(scope="module", autouse=True)
def _small_forests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forest, "TREES", 40)
        yield


@pytest.fixture(scope="module")
def handed(small_config: AblationConfig) -> dict[str, Watched]:
    """What the models of `fits` are handed."""
    return {
        name: Watched(Settings.of(small_config, kind.sections).sections)
        for name, kind in MODELS.items()
    }


@pytest.fixture(scope="module")
def fits(
    handed: dict[str, Watched],
    parts: Parts,
    make_arm: Callable[[str, tuple[Modality, ...]], Arm],
    modalities: tuple[Modality, ...],
) -> dict[str, Model]:
    """Every model, fitted once."""
    return {
        name: MODELS[name]
        .load()(make_arm(name, modalities), Settings(handed[name]), **MODELS[name].fixed)
        .fit(parts[0], 0)
        for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
class TestConformance:
    def test_probabilities(self, name: str, fits: dict[str, Model], parts: Parts) -> None:
        probability = fits[name].predict_proba(parts[1])
        assert probability.shape == (len(parts[1]),)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()
        assert fits[name].predict_proba(parts[1].take(np.array([], dtype=int))).shape == (0,)

    def test_inner_predictions_are_on_training_patients_with_their_outcome(
        self, name: str, fits: dict[str, Model], parts: Parts
    ) -> None:
        inner = fits[name].inner_
        outcome = dict(zip(parts[0].patient_ids, parts[0].y, strict=True))
        assert len(inner.patient_ids) == len(inner.y) == len(inner.probability) > 0
        assert len(set(inner.patient_ids)) == len(inner.patient_ids)
        assert set(inner.patient_ids) <= set(outcome)
        assert ((inner.probability >= 0) & (inner.probability <= 1)).all()
        assert set(np.unique(inner.y)) == {0.0, 1.0}
        assert [outcome[p] for p in inner.patient_ids] == inner.y.tolist()
        assert 0 <= inner_threshold(inner) <= 1

    def test_choices_and_history_are_plain_json(self, name: str, fits: dict[str, Model]) -> None:
        choices = fits[name].choices_
        assert choices
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fits[name].history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self,
        name: str,
        fits: dict[str, Model],
        parts: Parts,
        fit: Fitter,
    ) -> None:
        rng = np.random.default_rng(1)
        again = fit(name, parts[0].take(rng.permutation(len(parts[0]))))
        shuffle = rng.permutation(len(parts[1]))
        expected = fits[name].predict_proba(parts[1])
        assert again.predict_proba(parts[1]).tobytes() == expected.tobytes()
        shuffled = again.predict_proba(parts[1].take(shuffle))
        assert shuffled.tobytes() == expected[shuffle].tobytes()
        assert again.choices_ == fits[name].choices_
        inner, other = fits[name].inner_, again.inner_
        assert inner.patient_ids.tolist() == other.patient_ids.tolist()
        assert inner.probability.tobytes() == other.probability.tobytes()

    def test_input_is_never_changed(self, name: str, parts: Parts, fit: Fitter) -> None:
        given = copy.deepcopy(parts[0])
        for array in (given.y, given.row_ids, given.patient_ids, *given.embeddings.values()):
            array.flags.writeable = False
        model = fit(name, given)
        model.predict_proba(given)
        assert given.y.tobytes() == parts[0].y.tobytes()
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()

    def test_missing_and_unknown_values_are_scored(
        self, name: str, fits: dict[str, Model], parts: Parts
    ) -> None:
        test = parts[1]
        columns = test.columns.copy()
        columns["sex"] = "other"
        columns["breslow"] = np.nan
        columns[[f"GENE{i}" for i in range(6)]] = np.nan
        assert test.files is not None
        nowhere = np.full(len(test), "", dtype=object)
        blind = dataclasses.replace(
            test,
            columns=columns,
            embeddings={n: np.full_like(m, np.nan) for n, m in test.embeddings.items()},
            files=dataclasses.replace(test.files, paths=nowhere, sha256s=nowhere),
        )
        probability = fits[name].predict_proba(blind)
        assert np.isfinite(probability).all()
        assert ((probability >= 0) & (probability <= 1)).all()

    def test_a_second_fit_keeps_nothing_of_the_first(
        self, name: str, fits: dict[str, Model], parts: Parts, fit: Fitter, table: FeatureTable
    ) -> None:
        other = table.of_patients(np.unique(table.patient_ids.astype(str))[30:])
        model = fit(name, other, seed=1)
        first = model.inner_, model.choices_, model.history_
        before = copy.deepcopy(first)
        model.fit(parts[0], 0)
        fresh = fits[name]
        assert model.choices_ == fresh.choices_
        assert model.history_ == fresh.history_
        assert model.inner_.patient_ids.tolist() == fresh.inner_.patient_ids.tolist()
        assert model.inner_.probability.tobytes() == fresh.inner_.probability.tobytes()
        expected = fresh.predict_proba(parts[1])
        assert model.predict_proba(parts[1]).tobytes() == expected.tobytes()
        assert first[0].probability.tobytes() == before[0].probability.tobytes()
        assert first[1:] == before[1:]

    def test_exactly_the_declared_sections_are_read(
        self, name: str, fits: dict[str, Model], parts: Parts, handed: dict[str, Watched]
    ) -> None:
        """One read and not declared would leave stale parts; one declared only, needless fits."""
        fits[name].predict_proba(parts[1])
        assert handed[name].read == set(MODELS[name].sections)

    def test_one_outcome_is_refused(self, name: str, parts: Parts, fit: Fitter) -> None:
        for y in (0.0, 1.0):
            one = dataclasses.replace(parts[0], target=Target.binary(np.full(len(parts[0]), y)))
            with pytest.raises(DataError):
                fit(name, one)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in COUNT_ROWS])
def test_rows_of_a_patient_do_not_count_more(name: str, parts: Parts, fit: Fitter) -> None:
    """Every row twice is the same study: nothing depends on the number of images."""
    once = parts[0]
    doubled = once.take(np.tile(np.arange(len(once)), 2))
    doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
    expected = fit(name, once).predict_proba(parts[1])
    np.testing.assert_allclose(fit(name, doubled).predict_proba(parts[1]), expected, atol=2e-3)


@pytest.mark.parametrize(
    "name", ["lightgbm", "logistic_regression", "random_forest", "svm", "rank_average"]
)
def test_models_learn_what_is_planted(
    name: str, make_table: Callable[..., FeatureTable], fit: Fitter
) -> None:
    table = make_table(600)
    ids = np.unique(table.patient_ids.astype(str))
    model = fit(name, table.of_patients(ids[:300]))
    test = table.of_patients(ids[300:])
    _, y, score = by_patient(test.patient_ids, test.y, model.predict_proba(test))
    assert metrics.auroc(y, score)[0] > 0.75
    inner = model.inner_
    assert metrics.auroc(inner.y, inner.probability)[0] > 0.7
    # Probabilities are probabilities: their mean is near the prevalence.
    assert abs(float(np.mean(inner.probability - inner.y))) < 0.05


def test_fits_are_silent(
    parts: Parts,
    fit: Fitter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            fit(name, parts[0])
    assert capfd.readouterr() == ("", "")
