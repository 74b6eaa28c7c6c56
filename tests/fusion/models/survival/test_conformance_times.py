"""One conformance suite for every registered model of times to an event."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from times_features_example import CONFIG, DESIGN, HARD, HORIZONS, MODALITIES, times_table

from featurestore.config import Section
from featurestore.errors import DataError
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.features.table import FeatureTable
from fusion.metrics.survival import checked_times, harrell_c
from fusion.models.registry import make_model
from fusion.models.settings import Settings
from fusion.models.survival import SurvivalModel, SurvivalPrediction, cut_points
from fusion.models.survival.patients import patients_of
from fusion.models.survival.registered import SURVIVAL_MODELS

NAMES = sorted(name for name, kind in SURVIVAL_MODELS.items() if kind.needs is None)
"""Those of scikit-survival know no delayed entry: `test_grid_times.py`."""
COUNT_ROWS = (
    "fusion_head",
    "fusion_head_discrete",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "lightgbm",
    "lightgbm_discrete",
    "stacked",
)
"""Losses are of patients, but batch normalisation, bagging and leaf sizes count rows."""
AT = np.array([*HORIZONS, 1e6])
"""Horizons; the last lies beyond all follow-up."""


class Watched(dict[str, Section]):
    """Sections of the configuration; `read` has the names of those that were looked at."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        super().__init__(sections)
        self.read: set[str] = set()

    def __getitem__(self, section: str) -> Section:
        self.read.add(section)
        return super().__getitem__(section)


def fitted(name: str, table: FeatureTable, seed: int = 0) -> SurvivalModel:
    model: SurvivalModel = make_model(Arm(name, name, MODALITIES), CONFIG, None, "time_to_event")
    return model.fit(table, seed)


@pytest.fixture(scope="module")
def parts() -> tuple[FeatureTable, FeatureTable]:
    """90 training and 30 test patients with ties, delayed entry and a competing event."""
    table, _ = times_table(120, 0, HARD)
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:90]), table.of_patients(ids[90:])


@pytest.fixture(scope="module")
def handed() -> dict[str, Watched]:
    """What the models of `fits` are handed."""
    return {
        name: Watched(Settings.of(CONFIG, SURVIVAL_MODELS[name].sections).sections)
        for name in NAMES
    }


@pytest.fixture(scope="module")
def fits(
    handed: dict[str, Watched], parts: tuple[FeatureTable, FeatureTable]
) -> dict[str, SurvivalModel]:
    """Every model, fitted once."""
    return {
        name: SURVIVAL_MODELS[name]
        .load()(Arm(name, name, MODALITIES), Settings(handed[name]), **SURVIVAL_MODELS[name].fixed)
        .fit(parts[0], 0)
        for name in NAMES
    }


def require_sound(prediction: SurvivalPrediction, n: int) -> None:
    assert prediction.score.shape == (n,)
    assert prediction.risk.shape == (n, len(AT))
    assert np.isfinite(prediction.score).all()
    known = prediction.risk[:, :-1]
    assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(known, axis=1) >= 0).all()
    assert np.isnan(prediction.risk[:, -1]).all()


def same(one: SurvivalPrediction, other: SurvivalPrediction) -> bool:
    return (
        one.score.tobytes() == other.score.tobytes() and one.risk.tobytes() == other.risk.tobytes()
    )


@pytest.mark.parametrize("name", NAMES)
class TestConformance:
    def test_risks_rise_with_the_horizon_and_end_with_follow_up(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        require_sound(fits[name].predict(parts[1], AT), len(parts[1]))
        nobody = fits[name].predict(parts[1].take(np.array([], dtype=int)), AT)
        assert nobody.score.shape == (0,)
        assert nobody.risk.shape == (0, len(AT))

    def test_all_rows_of_a_patient_get_the_same(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        score = fits[name].predict(parts[1], AT).score
        by_patient = pd.Series(score).groupby(parts[1].patient_ids).nunique()
        assert (by_patient == 1).all()

    def test_inner_scores_are_of_training_patients_with_their_times(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        inner, patients = fits[name].inner_, patients_of(parts[0])
        place = {patient: k for k, patient in enumerate(patients.ids)}
        rows = np.array([place[patient] for patient in inner.patient_ids])
        assert len(set(inner.patient_ids)) == len(inner.patient_ids) > 0
        assert inner.score.shape == inner.patient_ids.shape
        assert np.isfinite(inner.score).all()
        assert inner.times.time.tolist() == patients.times.time[rows].tolist()
        assert inner.times.event.tolist() == patients.times.event[rows].tolist()
        assert np.isfinite(cut_points(inner.patient_ids, inner.score)).all()

    def test_choices_and_history_are_plain_json(
        self, name: str, fits: dict[str, SurvivalModel]
    ) -> None:
        choices = fits[name].choices_
        assert choices["risk_scale"]["slope"] >= 0
        assert json.loads(json.dumps(choices)) == choices
        assert isinstance(fits[name].history_, list)

    def test_same_seed_same_bytes_whatever_the_order_of_rows(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        rng = np.random.default_rng(1)
        again = fitted(name, parts[0].take(rng.permutation(len(parts[0]))))
        shuffle = rng.permutation(len(parts[1]))
        expected = fits[name].predict(parts[1], AT)
        assert same(again.predict(parts[1], AT), expected)
        shuffled = again.predict(parts[1].take(shuffle), AT)
        assert same(shuffled, SurvivalPrediction(expected.score[shuffle], expected.risk[shuffle]))
        assert again.choices_ == fits[name].choices_
        inner, other = fits[name].inner_, again.inner_
        assert inner.patient_ids.tolist() == other.patient_ids.tolist()
        assert inner.score.tobytes() == other.score.tobytes()

    def test_input_is_never_changed(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        given = copy.deepcopy(parts[0])
        target = given.target
        assert target.time is not None
        assert target.entry is not None
        arrays = (target.event, target.time, target.entry, given.row_ids, given.patient_ids)
        for array in (*arrays, *given.embeddings.values()):
            array.flags.writeable = False
        fitted(name, given).predict(given, AT)
        assert given.embeddings["net_a"].tobytes() == parts[0].embeddings["net_a"].tobytes()
        pd.testing.assert_frame_equal(given.columns, parts[0].columns)

    def test_missing_and_unknown_values_are_scored(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        test = parts[1]
        columns = test.columns.assign(sex="other", breslow=np.nan)
        nothing = {n: np.full_like(m, np.nan) for n, m in test.embeddings.items()}
        blind = dataclasses.replace(test, columns=columns, embeddings=nothing)
        require_sound(fits[name].predict(blind, AT), len(test))

    def test_a_second_fit_keeps_nothing_of_the_first(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
    ) -> None:
        other, _ = times_table(100, 7)
        model = fitted(name, other, seed=1)
        model.fit(parts[0], 0)
        assert model.choices_ == fits[name].choices_
        assert model.history_ == fits[name].history_
        assert model.inner_.score.tobytes() == fits[name].inner_.score.tobytes()
        assert same(model.predict(parts[1], AT), fits[name].predict(parts[1], AT))

    def test_exactly_the_declared_sections_are_read(
        self,
        name: str,
        fits: dict[str, SurvivalModel],
        parts: tuple[FeatureTable, FeatureTable],
        handed: dict[str, Watched],
    ) -> None:
        fits[name].predict(parts[1], AT)
        assert handed[name].read == set(SURVIVAL_MODELS[name].sections)

    def test_what_cannot_be_learned_from_is_one_line(
        self, name: str, parts: tuple[FeatureTable, FeatureTable]
    ) -> None:
        target = parts[0].target
        assert target.time is not None
        censored = Target.time_to_event(np.zeros(len(target)), target.time)
        with pytest.raises(DataError, match="no event to learn from"):
            fitted(name, dataclasses.replace(parts[0], target=censored))
        binary = dataclasses.replace(parts[0], target=Target.binary(target.event))
        with pytest.raises(DataError, match="outcomes of the kind 'binary'"):
            fitted(name, binary)
        late = Target.time_to_event(target.event, target.time, target.time + 1)
        with pytest.raises(DataError, match="entry is at or after exit"):
            fitted(name, dataclasses.replace(parts[0], target=late))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "kaplan_meier"])
def test_one_event_is_too_few(name: str, parts: tuple[FeatureTable, FeatureTable]) -> None:
    target = parts[0].target
    assert target.time is not None
    one = np.where(parts[0].patient_ids == parts[0].patient_ids[0], 1.0, 0.0)
    table = dataclasses.replace(parts[0], target=Target.time_to_event(one, target.time))
    with pytest.raises(DataError, match="independent groups of patients with the outcome"):
        fitted(name, table)


@pytest.mark.parametrize("name", NAMES)
def test_everybody_had_the_event_at_few_times(
    name: str, parts: tuple[FeatureTable, FeatureTable]
) -> None:
    """Nobody is censored, and events are tied everywhere."""
    target = parts[0].target
    assert target.time is not None
    tied = np.ceil(target.time / 900) * 900
    table = dataclasses.replace(parts[0], target=Target.time_to_event(np.ones(len(tied)), tied))
    prediction = fitted(name, table).predict(parts[1], np.array(HORIZONS))
    assert np.isfinite(prediction.score).all()
    assert np.isfinite(prediction.risk).all()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in COUNT_ROWS])
def test_rows_of_a_patient_do_not_count_more(
    name: str, fits: dict[str, SurvivalModel], parts: tuple[FeatureTable, FeatureTable]
) -> None:
    """Every row twice is the same study: nothing depends on the number of images."""
    once = parts[0]
    doubled = once.take(np.tile(np.arange(len(once)), 2))
    doubled.row_ids[len(once) :] = [f"{r}-copy" for r in once.row_ids]
    expected, found = (m.predict(parts[1], AT) for m in (fits[name], fitted(name, doubled)))
    np.testing.assert_allclose(found.score, expected.score, atol=2e-3)
    np.testing.assert_allclose(found.risk, expected.risk, atol=2e-3)


@pytest.mark.parametrize(
    "name", ["cox_ridge", "lightgbm", "lightgbm_discrete", "rank_average", "clinical_reference"]
)
@pytest.mark.parametrize("design", [DESIGN, HARD], ids=["plain", "hard"])
def test_models_learn_what_is_planted_and_no_more(name: str, design: object) -> None:
    assert design in (DESIGN, HARD)
    table, cohort = times_table(700, 3, HARD if design is HARD else DESIGN)
    ids = np.unique(table.patient_ids.astype(str))
    test = table.of_patients(ids[400:])
    model = fitted(name, table.of_patients(ids[:400]))
    prediction = model.predict(test, np.array(HORIZONS))
    first = np.unique(test.patient_ids.astype(str), return_index=True)[1]
    times = cohort.times.take(np.arange(400, 700)).cause_specific()
    own = harrell_c(times, prediction.score[first])[0]
    oracle = harrell_c(times, cohort.log_hazard_ratio[400:])[0]
    assert 0.58 < own < oracle
    # Risks are risks: their mean is near the true one.
    for k, horizon in enumerate(HORIZONS):
        true = cohort.risk(horizon)[400:].mean()
        assert abs(prediction.risk[first, k].mean() - true) < 0.05
    inner = model.inner_
    assert harrell_c(inner.times.cause_specific(), inner.score)[0] > 0.58


def test_risk_is_what_remains_after_entry() -> None:
    """Who is known to be free of the event at entry cannot have it before.

    Where nothing competes: else who is free of both may have more to expect than at time zero.
    """
    table, _ = times_table(120, 0, DESIGN)
    model = fitted("cox_ridge", table)
    target = table.target
    assert target.time is not None
    risks = [
        model.predict(
            dataclasses.replace(
                table,
                target=Target.time_to_event(
                    target.event, target.time + 2000, np.full(len(target), e)
                ),
            ),
            np.array([1095.0]),
        ).risk[:, 0]
        for e in (0.0, 400.0, 1095.0)
    ]
    assert (risks[1] <= risks[0]).all()
    assert risks[1].mean() < risks[0].mean() - 0.02
    assert (risks[2] == 0).all()


def test_fits_are_silent(
    parts: tuple[FeatureTable, FeatureTable], capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            fitted(name, parts[0]).predict(parts[1], AT)
    assert capfd.readouterr() == ("", "")


def test_follow_up_of_the_table_is_checked_once_a_patient() -> None:
    table, cohort = times_table(30)
    patients = patients_of(table)
    assert len(patients) == 30
    checked = checked_times(cohort.times.time, cohort.times.event)
    assert patients.times.time.tolist() == checked.time.tolist()
    assert patients.mean(np.ones(len(table))).tolist() == [1.0] * 30
