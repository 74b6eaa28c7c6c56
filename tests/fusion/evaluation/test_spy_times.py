"""A spy in the outer test rows of times to an event.

No fit, tuning, early stopping, baseline hazard, scale of risks, cut point or encoding of a model
touches them. Two proofs, as for binary outcomes: what is learned is the same bytes whether the
test rows hold their true values or poison; and everything inside that learns is watched.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from outer_fold_example import OuterFold
from times_features_example import (
    CONFIG,
    HARD,
    HORIZONS,
    MODALITIES,
    cohort_of_times,
    folds_of_times,
    plan_of_times,
    times_table,
)

import fusion.evaluation.fitting
import fusion.evaluation.predicting_times
import fusion.models.survival.base
import fusion.models.survival.cox
import fusion.models.survival.fusion_head
import fusion.models.survival.lightgbm
import fusion.models.survival.patients
import fusion.models.survival.risk_scale
from featurestore.cohort.folds import Folds
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.evaluation import evaluate
from fusion.features.reduction import PrincipalComponents, Standardizer
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.metrics.survival import Times
from fusion.models.head_inputs import HeadInputs
from fusion.models.survival import SurvivalModel
from fusion.models.survival.registered import SURVIVAL_MODELS
from fusion.testing.tables import bagged

NAMES = sorted(name for name, kind in SURVIVAL_MODELS.items() if kind.needs is None)
ARMS = tuple(Arm(name, name, MODALITIES) for name in NAMES)
OUTSIDE = np.array([*HORIZONS])


class Fold(OuterFold):
    """The fold, and every model of times on it."""

    def evaluate(self, work: Path, table: FeatureTable) -> pd.DataFrame:
        plan = plan_of_times(work, CONFIG.model_copy(update={"explain": False}))
        return evaluate(self.cohort, self.folds, lambda r, f: table, ARMS, plan)


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> Fold:
    table, _ = times_table(90, 5, HARD)
    table = bagged(table, tmp_path_factory.mktemp("bags"))
    cohort = cohort_of_times(table)
    folds = folds_of_times(cohort)
    return Fold(cohort, Folds(folds.table[folds.table["fold"] == 0]), table)


def without_values(fold: Fold) -> FeatureTable:
    """Test rows without any value."""
    columns = fold.table.columns.apply(lambda c: c.where(~fold.test_rows))
    return dataclasses.replace(fold.table, columns=columns, embeddings=embedded(fold, np.nan))


def huge(fold: Fold) -> FeatureTable:
    """Test rows far outside anything seen."""
    rows = ~fold.test_rows
    numbers = {c: fold.table.columns[c].where(rows, 1e9) for c in ("age_at_diagnosis", "breslow")}
    columns = fold.table.columns.assign(**numbers)
    return dataclasses.replace(fold.table, columns=columns, embeddings=embedded(fold, 1e6))


def embedded(fold: Fold, value: float) -> dict[str, np.ndarray]:
    found = {name: matrix.copy() for name, matrix in fold.table.embeddings.items()}
    for matrix in found.values():
        matrix[fold.test_rows] = value
    return found


def other_times(fold: Fold) -> FeatureTable:
    """Test rows that end otherwise and much later; entry, which risks depend on, is kept."""
    target = fold.table.target
    assert target.time is not None
    event = np.where(fold.test_rows, (target.event + 1) % 3, target.event)
    time = np.where(fold.test_rows, 50_000 + 7 * target.time, target.time)
    changed = Target.time_to_event(event, time, target.entry)
    return dataclasses.replace(fold.table, target=changed)


@dataclasses.dataclass(frozen=True)
class Learned:
    """What an evaluation learned, and what its models say about the true test rows."""

    states: dict[str, bytes]
    records: list[dict[str, Any]]
    history: pd.DataFrame


def learn(fold: Fold, table: FeatureTable, work: Path) -> Learned:
    models: dict[str, SurvivalModel] = {}
    real = fusion.evaluation.fitting.model_of

    def kept(arm: Arm, *rest: Any) -> SurvivalModel:
        models[arm.name] = real(arm, *rest)
        return models[arm.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion.evaluation.fitting, "model_of", kept)
        fold.evaluate(work, table)
    record = json.loads((work / "choices.json").read_text())
    assert record["failures"] == []
    states = {name: state(model, fold) for name, model in models.items()}
    return Learned(states, record["fits"], pd.read_parquet(work / "history.parquet"))


def state(model: Any, fold: Fold) -> bytes:
    """Inner scores, baselines, and predictions of the true test rows as bytes."""
    inner, scale = model.inner_, model.scale_
    parts = ["".join(inner.patient_ids).encode(), inner.score.tobytes()]
    parts += [np.array([scale.centre, scale.slope, scale.competing_slope]).tobytes()]
    parts += [b.hazard.tobytes() + b.time.tobytes() for b in scale.baselines]
    prediction = model.predict(fold.table.take(fold.test_rows), OUTSIDE)
    parts += [prediction.score.tobytes(), prediction.risk.tobytes()]
    if hasattr(model, "booster_"):
        parts.append(model.booster_.model_to_string().encode())
    return b"|".join(parts)


@pytest.fixture(scope="module")
def clean(fold: Fold, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learn(fold, fold.table, tmp_path_factory.mktemp("clean"))


@pytest.mark.parametrize("poison", [without_values, huge, other_times])
def test_poison_in_the_test_rows_changes_nothing_that_was_learned(
    poison: Callable[[Fold], FeatureTable], fold: Fold, clean: Learned, tmp_path: Path
) -> None:
    learned = learn(fold, poison(fold), tmp_path)
    for name in NAMES:
        assert learned.states[name] == clean.states[name], name
    assert learned.records == clean.records
    pd.testing.assert_frame_equal(learned.history, clean.history, check_exact=True)


def test_poison_is_noticed_in_the_training_rows(fold: Fold, clean: Learned, tmp_path: Path) -> None:
    """The proof above can fail: one training patient who ends otherwise changes every model."""
    target = fold.table.target
    patient = fold.table.patient_ids[~fold.test_rows & (target.event == 1)][0]
    victim = fold.table.patient_ids == patient
    assert target.time is not None
    changed = Target.time_to_event(
        np.where(victim, 0.0, target.event), np.where(victim, 9000.0, target.time), target.entry
    )
    learned = learn(fold, dataclasses.replace(fold.table, target=changed), tmp_path)
    assert [name for name in NAMES if learned.states[name] == clean.states[name]] == []


class Spy:
    """Watches everything that learns, and whose follow-up or rows it is given."""

    def __init__(self, fold: Fold) -> None:
        self.test_patients = fold.test_patients
        self.training = len(fold.folds.training((0, 0)))
        raw = fold.table.embeddings["net_a"][fold.test_rows]
        self.test_embeddings = {row.tobytes() for row in raw if not np.isnan(row).any()}
        self.fitting = False
        self.seen: dict[str, int] = {}
        self.caught: list[str] = []

    def patients(self, where: str, ids: Any) -> None:
        if self.fitting:
            self.note(where, bool(self.test_patients & set(map(str, ids))))

    def times(self, where: str, times: Times) -> None:
        """Follow-up travels without ids: there are never more rows than training patients."""
        if self.fitting:
            self.note(where, len(times) > self.training)

    def rows(self, where: str, matrix: np.ndarray) -> None:
        if self.fitting:
            own = {np.asarray(row, dtype=np.float32).tobytes() for row in matrix}
            self.note(where, bool(own & self.test_embeddings))

    def note(self, where: str, leaks: bool) -> None:
        self.seen[where] = self.seen.get(where, 0) + 1
        if leaks:
            self.caught.append(where)


@pytest.fixture
def spy(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> Spy:
    """A spy at every post."""
    spy = Spy(fold)

    def before(owner: Any, name: str, look: Callable[..., None]) -> None:
        real = getattr(owner, name)

        def watched(*given: Any, **named: Any) -> Any:
            look(*given, **named)
            return real(*given, **named)

        monkeypatch.setattr(owner, name, watched)

    real_make = fusion.evaluation.fitting.model_of

    class Watched:
        """A model that says when it is being fitted, and on whom."""

        def __init__(self, model: Any) -> None:
            self._model = model

        def fit(self, table: FeatureTable, seed: int) -> Any:
            spy.fitting = True
            spy.patients("Model.fit", table.patient_ids)
            try:
                return self._model.fit(table, seed)
            finally:
                spy.fitting = False

    monkeypatch.setattr(fusion.evaluation.fitting, "model_of", lambda *a: Watched(real_make(*a)))

    def cut(ids: np.ndarray, score: np.ndarray, quantiles: Any) -> None:
        spy.fitting = True
        spy.patients("cut points", ids)
        spy.fitting = False

    before(fusion.evaluation.predicting_times, "cut_points", cut)
    survival = fusion.models.survival
    before(
        survival.base,
        "fit_risk_scale",
        lambda ids, times, score: spy.patients("risk scale", ids),
    )
    before(
        survival.risk_scale,
        "baseline_hazard",
        lambda times, lp, **named: spy.times("baseline hazard", times),
    )
    for module in (survival.risk_scale, survival.cox):
        before(module, "cox_ridge", lambda times, *r, **n: spy.times("cox_ridge", times))
    before(survival.patients, "inner_folds", lambda ids, *r: spy.patients("inner folds", ids))
    before(
        survival.lightgbm,
        "CoxObjective",
        lambda patients: spy.patients("objective", patients.ids),
    )
    before(
        lightgbm,
        "train",
        lambda settings, data, *r, **n: spy.note("lightgbm.train", False),
    )

    def trained(head: Any, training: Any, validation: Any, *rest: Any) -> None:
        spy.patients("train_times training", training.patients.ids)
        spy.patients("train_times validation", validation.patients.ids)

    before(survival.fusion_head, "train_times", trained)
    for method in ("fit", "transform"):
        before(
            TabularEncoder,
            method,
            lambda e, t, m=method: spy.patients(f"TabularEncoder.{m}", t.patient_ids),
        )
    before(HeadInputs, "transform", lambda e, t: spy.patients("HeadInputs", t.patient_ids))
    before(PrincipalComponents, "fit", lambda p, m: spy.rows("PrincipalComponents.fit", m))
    before(Standardizer, "fit", lambda s, m, weights=None: spy.rows("Standardizer.fit", m))
    return spy


POSTS = {
    "HeadInputs",
    "Model.fit",
    "PrincipalComponents.fit",
    "Standardizer.fit",
    "TabularEncoder.fit",
    "TabularEncoder.transform",
    "baseline hazard",
    "cox_ridge",
    "cut points",
    "inner folds",
    "lightgbm.train",
    "objective",
    "risk scale",
    "train_times training",
    "train_times validation",
}


def test_nothing_that_learns_is_given_a_test_patient(fold: Fold, spy: Spy, tmp_path: Path) -> None:
    predictions = fold.evaluate(tmp_path, fold.table)
    assert set(predictions["patient_id"]) == fold.test_patients
    assert spy.caught == []
    assert set(spy.seen) == POSTS
    assert spy.seen["Model.fit"] == spy.seen["cut points"] == len(NAMES)


def test_the_spy_catches_a_leak(
    fold: Fold, spy: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fits on everybody is caught at every post that can tell."""

    def everybody(table: FeatureTable, *sides: Any) -> tuple[FeatureTable, FeatureTable]:
        return table, table.take(fold.test_rows)

    monkeypatch.setattr(fusion.evaluation.fitting, "split_fold", everybody)
    fold.evaluate(tmp_path, fold.table)
    assert set(spy.caught) == POSTS - {"lightgbm.train"}


def test_the_ledger_has_every_step(clean: Learned) -> None:
    steps = {
        record["model"]: {(s["step"], s["role"]) for s in record["steps"]}
        for record in clean.records
    }
    for name, own in steps.items():
        assert {("risk scale", "fitted on"), ("risk groups", "selected on")} <= own, name
        assert ("baseline hazard", "fitted on") in own, name
    assert ("tuning", "selected on") in steps["lightgbm"]
    assert ("early stopping", "selected on") in steps["fusion_head"]
    assert ("setting", "selected on") in steps["cox_ridge"]
    assert not any(s["outside_training"] for r in clean.records for s in r["steps"])
