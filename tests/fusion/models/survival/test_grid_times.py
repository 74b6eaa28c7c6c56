"""Models of scikit-survival behind the protocol; needs the extra `survival`."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from times_features_example import CONFIG, DESIGN, HORIZONS, MODALITIES, times_table

from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.features.table import FeatureTable
from fusion.metrics.survival import cox_ridge, harrell_c
from fusion.metrics.survival.simulation import simulate
from fusion.models.model_kind import ModelKind
from fusion.models.registry import make_model
from fusion.models.survival import SurvivalModel
from fusion.models.survival.grid import ElasticNet, SurvivalForest
from fusion.models.survival.registered import SURVIVAL_MODELS

NAMES = sorted(name for name, kind in SURVIVAL_MODELS.items() if kind.needs is not None)
AT = np.array(HORIZONS)
COMPETING = dataclasses.replace(DESIGN, competing=0.5, rounding=30.0)


def test_an_absent_package_is_one_line() -> None:
    absent = ModelKind("nowhere:Model", (), needs=("nowhere", "somewhere", "survival"))
    with pytest.raises(
        ConfigError, match=r"^a needs somewhere: pip install 'melafuse\[survival\]'$"
    ):
        absent.require_package("a")
    SURVIVAL_MODELS["cox_ridge"].require_package("cox_ridge")


@pytest.mark.parametrize("name", NAMES)
def test_delayed_entry_is_one_line(name: str) -> None:
    table, _ = times_table(60, 0, dataclasses.replace(DESIGN, late=0.3))
    with pytest.raises(DataError, match=f"{name} knows no delayed entry, which this outcome has"):
        fitted(name, table)


def fitted(name: str, table: FeatureTable) -> SurvivalModel:
    model: SurvivalModel = make_model(Arm(name, name, MODALITIES), CONFIG, None, "time_to_event")
    return model.fit(table, 0)


@pytest.fixture(scope="module", autouse=True)
def _small_forests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SurvivalForest, "TREES", 30)
        yield


@pytest.fixture(scope="module")
def parts() -> tuple[FeatureTable, FeatureTable]:
    pytest.importorskip("sksurv", reason="the extra `survival` is not installed")
    table, _ = times_table(120, 0, COMPETING)
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:90]), table.of_patients(ids[90:])


@pytest.mark.parametrize("name", NAMES)
class TestGrid:
    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        rng = np.random.default_rng(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            models = [fitted(name, parts[0].take(rng.permutation(len(parts[0])))) for _ in range(2)]
        one, other = (m.predict(parts[1], AT) for m in models)
        assert one.score.tobytes() == other.score.tobytes()
        assert one.risk.tobytes() == other.risk.tobytes()
        assert models[0].choices_ == models[1].choices_
        assert json.loads(json.dumps(models[0].choices_)) == models[0].choices_
        assert ((one.risk >= 0) & (one.risk <= 1)).all()
        assert (one.risk[:, 0] <= one.risk[:, 1]).all()

    def test_rows_of_a_patient_do_not_count_more(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        once = parts[0]
        doubled = once.take(np.tile(np.arange(len(once)), 2))
        doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
        expected, found = (fitted(name, t).predict(parts[1], AT) for t in (once, doubled))
        np.testing.assert_allclose(found.risk, expected.risk, atol=2e-2)

    def test_nobody_with_the_event_is_one_line(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        target = parts[0].target
        assert target.time is not None
        censored = Target.time_to_event(np.zeros(len(target)), target.time)
        with pytest.raises(DataError, match="no event to learn from"):
            fitted(name, dataclasses.replace(parts[0], target=censored))

    def test_it_learns_what_is_planted_and_no_more(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        table, cohort = times_table(500, 3, DESIGN)
        ids = np.unique(table.patient_ids.astype(str))
        test = table.of_patients(ids[300:])
        prediction = fitted(name, table.of_patients(ids[:300])).predict(test, AT)
        first = np.unique(test.patient_ids.astype(str), return_index=True)[1]
        times = cohort.times.take(np.arange(300, 500))
        own = harrell_c(times, prediction.score[first])[0]
        assert 0.56 < own < harrell_c(times, cohort.log_hazard_ratio[300:])[0]
        for k, horizon in enumerate(HORIZONS):
            true = cohort.risk(horizon)[300:].mean()
            assert abs(prediction.risk[first, k].mean() - true) < 0.06


def test_a_net_without_penalty_is_cox_regression() -> None:
    pytest.importorskip("sksurv", reason="the extra `survival` is not installed")
    cohort = simulate(DESIGN, 400, 0)
    x = np.random.default_rng(0).normal(size=(400, 3))
    x[:, 0] += cohort.log_hazard_ratio
    scorer = ElasticNet().fit(x, cohort.times, {"l1_ratio": 0.5, "share": 1e-4}, 0)
    expected = x @ cox_ridge(cohort.times, x).coefficients
    np.testing.assert_allclose(scorer(x), expected, atol=0.01)
