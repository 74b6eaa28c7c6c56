"""An ablation whose heads train as one program, beside the ordinary way."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from listener_example import Listener
from sklearn.metrics import roc_auc_score

import fusion.models.training_together as training_together
from featurestore.cohort import Cohort, Folds
from featurestore.errors import ConfigError, DataError
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, TuningConfig
from fusion.evaluation.parts import PartStore
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan, plan_tasks
from fusion.features import FeatureTable
from fusion.models.training import HeadData
from fusion.models.training_together import HeadFit, train_all

HEAD = HeadConfig(projection=32, hidden=(32,), epochs=6, batch_size=32, ensemble=2)
TUNING = TuningConfig(trials=1, inner_folds=3)


@dataclasses.dataclass
class Grid:
    """Arms x three folds; `run` evaluates them in a folder."""

    cohort: Cohort
    folds: Folds
    table: FeatureTable
    arms: tuple[Arm, ...]

    def plan(self, work: Path, **head: Any) -> Plan:
        head_config = HEAD.model_copy(update=head)
        config = AblationConfig(head=head_config, tuning=TUNING, jobs=1, explain=False)
        return Plan(config, seed=0, run_name="test", work=work, data_digest="d")

    def run(self, work: Path, told: Listener | None = None, **head: Any) -> pd.DataFrame:
        plan, told = self.plan(work, **head), told or Listener()
        return evaluate(self.cohort, self.folds, lambda r, f: self.table, self.arms, plan, told)


@pytest.fixture(scope="module")
def grid(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Grid:
    arms = (
        Arm("fusion_head[all]", "fusion_head", modalities),
        Arm("fusion_head[net_a]", "fusion_head", modalities[:1]),
        Arm("logistic_regression[all]", "logistic_regression", modalities),
    )
    return Grid(cohort, folds, table, arms)


@pytest.fixture(scope="module")
def batched(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A finished run whose heads trained together; do not change it."""
    work = tmp_path_factory.mktemp("batched")
    return work, grid.run(work, batched=True)


def shape_of(value: Any) -> Any:
    """A record without its numbers."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    return [shape_of(one) for one in value] if isinstance(value, list) else type(value)


def test_parts_records_and_curves_are_those_of_the_ordinary_way(
    grid: Grid, batched: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    work, found = batched
    expected = grid.run(tmp_path)
    names = ["arm", "repeat", "fold", "patient_id"]
    pd.testing.assert_frame_equal(found[names], expected[names])
    linear = found["model"] == "logistic_regression"
    pd.testing.assert_frame_equal(found[linear], expected[linear])
    own, other = (json.loads((at / "choices.json").read_text()) for at in (work, tmp_path))
    assert shape_of(own) == shape_of(other)
    for one, another in zip(own["fits"], other["fits"], strict=True):
        assert one["steps"] == another["steps"]  # whom each step of a fit saw
    curves, others = (pd.read_parquet(at / "history.parquet") for at in (work, tmp_path))
    assert list(curves.columns) == list(others.columns)
    for arm, rows in found[~linear].groupby("arm"):
        ordinary = expected[expected["arm"] == arm]
        now, before = (roc_auc_score(t["y"], t["probability"]) for t in (rows, ordinary))
        assert abs(now - before) < 0.06, arm
        assert not np.array_equal(rows["probability"], ordinary["probability"])


def test_fits_of_both_ways_have_names_of_their_own(grid: Grid, tmp_path: Path) -> None:
    names = [
        {task.digest for task in plan_tasks(grid.folds, grid.arms[:2], plan)}
        for plan in (grid.plan(tmp_path), grid.plan(tmp_path, batched=True))
    ]
    on_card = grid.plan(tmp_path, batched=True, device="cuda")
    names.append({task.digest for task in plan_tasks(grid.folds, grid.arms[:2], on_card)})
    assert len(set.union(*names)) == 3 * 2 * 3


def test_a_run_that_was_stopped_ends_with_the_same_bytes(
    grid: Grid,
    batched: tuple[Path, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Listener()
    calls = 0

    def stopped(fits: Sequence[HeadFit]) -> list[Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return train_all(fits)

    with monkeypatch.context() as patched:
        patched.setattr(training_together, "train_all", stopped)
        with pytest.raises(KeyboardInterrupt):
            grid.run(tmp_path, told, batched=True)
    assert told.done == 6  # the linear arm, and the first arm of heads
    parts = sorted((tmp_path / "parts").glob("*.parquet"))
    parts[0].unlink()  # so that heads meet another company
    found = grid.run(tmp_path, told, batched=True)
    assert found.equals(batched[1])
    assert "5 reused" in told.summary


def test_all_folds_and_members_of_an_arm_train_as_one(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies: list[int] = []

    def seen(fits: Sequence[HeadFit]) -> list[Any]:
        companies.append(len(fits))
        return train_all(fits)

    locks: list[str] = []
    locked = PartStore.locked

    def noted(store: PartStore, name: str) -> Any:
        locks.append(name)
        return locked(store, name)

    monkeypatch.setattr(training_together, "train_all", seen)
    monkeypatch.setattr(PartStore, "locked", noted)
    stacked = Arm("stacked[all]", "stacked", grid.arms[0].modalities)
    both = dataclasses.replace(grid, arms=(grid.arms[0], stacked))
    both.run(tmp_path, batched=True, epochs=1, ensemble=1)
    # One a fold of the arm together with the first of each of the three stacked fits, then the
    # other five of these.
    assert companies == [6, 3, 3, 3, 3, 3]
    # All before the first, in one order: so two runs that share a project cannot block each other.
    assert locks == sorted(locks)
    assert len(set(locks)) == 6


def test_a_fit_that_fails_leaves_the_others(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = training_together.begin_training

    def refused(head: Any, training: HeadData, *others: Any) -> None:
        if list(training.inputs) == ["net_a"]:
            raise DataError("there is one outcome only")
        begin(head, training, *others)

    monkeypatch.setattr(training_together, "begin_training", refused)
    told = Listener()
    found = grid.run(tmp_path, told, batched=True, epochs=1)
    assert "arm fusion_head[net_a] left out, it failed on 3 folds" in told.summary
    assert set(found["arm"]) == {"fusion_head[all]", "logistic_regression[all]"}


def test_a_lack_of_memory_is_told(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_stack = training_together._train_stack

    def small(fits: Sequence[HeadFit], device: Any) -> list[Any]:
        if len(fits) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return train_stack(fits, device)

    monkeypatch.setattr(training_together, "_train_stack", small)
    told = Listener()
    dataclasses.replace(grid, arms=grid.arms[:1]).run(tmp_path, told, batched=True, epochs=1)
    choices = json.loads((tmp_path / "choices.json").read_text())["fits"][0]["choices"]
    assert "ran out of memory" in choices["members"][0]["memory"]
    assert told.summary.endswith("cpu ran out of memory: 3 heads trained together instead of 6")


def test_a_card_that_is_not_there_is_one_line(grid: Grid, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(ConfigError, match="device 'cuda' is not available"):
        grid.run(tmp_path, batched=True, device="cuda")
