"""Estimators of one's own in worker processes, and what a run that is resumed fits again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier

from featurestore.cohort import Cohort, Folds
from fusion.evaluation import Plan, evaluate
from fusion.features import FeatureTable
from fusion.models import own, register_model
from fusion.testing.models import whole_arm
from fusion.testing.tables import CONFIG

MODELS = ("boosted", "constant")


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
