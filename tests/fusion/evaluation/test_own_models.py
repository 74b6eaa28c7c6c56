"""Estimators of one's own in worker processes, and what a run that is resumed fits again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from times_features_example import cohort_of_times, folds_of_times, plan_of_times, times_table

from featurestore.cohort import Cohort, Folds
from featurestore.errors import DataError
from fusion.arms import Arm
from fusion.evaluation import Plan, evaluate
from fusion.features import FeatureTable
from fusion.metrics.survival import harrell_c
from fusion.models import own, register_model
from fusion.testing import times
from fusion.testing.models import whole_arm
from fusion.testing.tables import CONFIG

MODELS = ("boosted", "constant")


class FirstInput:
    """Scores by the first input, with the sign that ranks events first; knows times only."""

    sign = 0.0

    def fit(self, x: np.ndarray, y: np.ndarray) -> FirstInput:
        early = y["event"] & (y["time"] < np.median(y["time"]))
        self.sign = np.sign(x[early, 0].mean() - x[~early, 0].mean())
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.sign * x[:, 0]


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    register_model("boosted", HistGradientBoostingClassifier(max_iter=10))
    register_model("constant", DummyClassifier())
    yield
    own._registered.clear()


def run(work: Path, cohort: Cohort, folds: Folds, table: FeatureTable, jobs: int) -> pd.DataFrame:
    config = CONFIG.model_copy(update={"jobs": jobs, "explain": False})
    arms = [whole_arm(name) for name in MODELS]
    return evaluate(cohort, folds, lambda *_: table, arms, Plan(config, 0, "test", work, "d"))


def test_workers_know_what_was_registered_here_and_only_changes_are_fitted(
    cohort: Cohort, folds: Folds, table: FeatureTable, tmp_path: Path
) -> None:
    there = run(tmp_path / "two", cohort, folds, table, jobs=2)
    here = run(tmp_path / "one", cohort, folds, table, jobs=1)
    pd.testing.assert_frame_equal(there, here)
    record = json.loads((tmp_path / "one" / "choices.json").read_text())
    assert {fit["model"] for fit in record["fits"] if "brought" in fit} == set(MODELS)
    steps = [step["step"] for step in record["fits"][0]["steps"]]
    assert "boosted" in steps

    parts = tmp_path / "one" / "parts"
    before = {path.name for path in parts.glob("*.parquet")}
    run(tmp_path / "one", cohort, folds, table, jobs=1)
    assert {path.name for path in parts.glob("*.parquet")} == before
    register_model("boosted", HistGradientBoostingClassifier(max_iter=11))
    run(tmp_path / "one", cohort, folds, table, jobs=1)
    assert len({path.name for path in parts.glob("*.parquet")} - before) == len(folds.keys)


def test_an_estimator_of_times_is_an_arm_with_risks(tmp_path: Path) -> None:
    table, simulated = times_table(120, 0)
    cohort = cohort_of_times(table)
    register_model("first", FirstInput, outcome="time_to_event")
    arm = Arm("first", "first", times.MODALITIES)
    folds, plan = folds_of_times(cohort), plan_of_times(tmp_path)
    found = evaluate(cohort, folds, lambda *_: table, [arm], plan)
    assert len(found) == 120
    assert found["risk_at_365"].between(0, 1).all()
    assert (found["risk_at_1095"] >= found["risk_at_365"]).all()
    assert set(found["risk_group"]) == {0, 1, 2}
    assert harrell_c(simulated.times, found.sort_values("patient_id")["score"].to_numpy())[0] > 0.6
    (tmp_path / "late").mkdir()
    late, _ = times_table(120, 0, times.HARD)
    delayed = cohort_of_times(late)
    with pytest.raises(DataError, match="first is given event and time and so knows no delayed"):
        evaluate(
            delayed,
            folds_of_times(delayed),
            lambda *_: late,
            [arm],
            plan_of_times(tmp_path / "late"),
        )
