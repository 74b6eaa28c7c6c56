"""Studies: seeded, pruned, and the same whether they were interrupted or not."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from locations import ROOT

import fusion.models.lightgbm
from featurestore.errors import ConfigError
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, MetadataConfig, TuningConfig
from fusion.features.table import FeatureTable
from fusion.models.lightgbm import LightGbmModel
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation, sqlite_storage
from fusion.models.tuning import RANDOM_TRIALS, FoldScore, Parameters, TuningResult, tune

N_FOLDS, TRIALS = 3, 14


def space(trial: optuna.Trial) -> Parameters:
    return {"x": trial.suggest_float("x", 0.0, 1.0), "k": trial.suggest_int("k", 1, 8)}


def hill(parameters: Parameters, fold: int) -> FoldScore:
    """Highest at x = 0.7; k decides nothing."""
    height = 1 - (parameters["x"] - 0.7) ** 2 - 0.01 * fold
    return FoldScore(height, 1 - height)


def run(
    location: StudyLocation | None = None,
    evaluate: Callable[[Parameters, int], FoldScore] = hill,
    trials: int = TRIALS,
    seed: int = 5,
) -> TuningResult:
    return tune(evaluate, N_FOLDS, space, {"x": 0.1, "k": 2}, trials, seed, location)


def location(folder: Path, name: str = "study") -> StudyLocation:
    return StudyLocation(sqlite_storage(folder, name), f"run/{name}")


@pytest.fixture(scope="module")
def uninterrupted() -> TuningResult:
    return run()


def test_the_first_trial_is_the_default_and_search_beats_it(uninterrupted: TuningResult) -> None:
    assert uninterrupted.trials[0].parameters == {"x": 0.1, "k": 2}
    assert len(uninterrupted.trials) == TRIALS
    assert abs(uninterrupted.parameters["x"] - 0.7) < 0.2
    assert uninterrupted.parameters == uninterrupted.trials[uninterrupted.best].parameters


def test_bad_trials_are_pruned_and_never_chosen(uninterrupted: TuningResult) -> None:
    pruned = [i for i, t in enumerate(uninterrupted.trials) if t.pruned]
    assert pruned
    assert min(pruned) >= RANDOM_TRIALS
    assert uninterrupted.best not in pruned
    calls: list[Parameters] = []

    def counted(parameters: Parameters, fold: int) -> FoldScore:
        calls.append(parameters)
        return hill(parameters, fold)

    assert run(evaluate=counted) == uninterrupted
    assert len(calls) < N_FOLDS * TRIALS


def test_same_seed_same_study_other_seed_another(uninterrupted: TuningResult) -> None:
    assert run() == uninterrupted
    assert run(seed=6).trials[1:] != uninterrupted.trials[1:]


def test_storage_changes_nothing(tmp_path: Path, uninterrupted: TuningResult) -> None:
    assert run(location(tmp_path)) == uninterrupted


def test_ties_of_auroc_are_broken_by_log_loss_then_by_order() -> None:
    def flat(parameters: Parameters, fold: int) -> FoldScore:
        return FoldScore(0.8, round(parameters["x"], 1))

    result = run(evaluate=flat)
    complete = [(t.loss, i) for i, t in enumerate(result.trials) if not t.pruned]
    assert result.best == min(complete)[1]


@pytest.mark.parametrize("after", [0, 1, 2, 3, 10, 17, 22, 25])
def test_an_abandoned_study_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, uninterrupted: TuningResult, after: int
) -> None:
    calls = 0

    def dies(parameters: Parameters, fold: int) -> FoldScore:
        nonlocal calls
        calls += 1
        if calls > after:
            raise KeyboardInterrupt
        return hill(parameters, fold)

    with pytest.raises(KeyboardInterrupt):
        run(location(tmp_path), dies)
    assert run(location(tmp_path)) == uninterrupted


def test_only_the_remaining_trials_are_run(tmp_path: Path, uninterrupted: TuningResult) -> None:
    run(location(tmp_path), trials=TRIALS - 2)
    tried: list[Parameters] = []

    def counted(parameters: Parameters, fold: int) -> FoldScore:
        tried.append(parameters)
        return hill(parameters, fold)

    assert run(location(tmp_path), counted) == uninterrupted
    assert {t["x"] for t in tried} == {t.parameters["x"] for t in uninterrupted.trials[-2:]}

    def refused(parameters: Parameters, fold: int) -> FoldScore:
        raise AssertionError("a finished study runs nothing")

    assert run(location(tmp_path), refused) == uninterrupted
    # A study that went further than asked for is read as if it had not.
    assert run(location(tmp_path), refused, trials=4) == run(trials=4)


_KILLED = """
    import sys, time
    from pathlib import Path
    from fusion.models.study_location import StudyLocation, sqlite_storage
    from fusion.models.tuning import FoldScore, tune

    def space(trial):
        return {"x": trial.suggest_float("x", 0.0, 1.0), "k": trial.suggest_int("k", 1, 8)}

    def hill(parameters, fold):
        time.sleep(0.01)
        height = 1 - (parameters["x"] - 0.7) ** 2 - 0.01 * fold
        return FoldScore(height, 1 - height)

    where = StudyLocation(sqlite_storage(Path(sys.argv[1]), "study"), "run/study")
    print("ready", flush=True)
    tune(hill, 3, space, {"x": 0.1, "k": 2}, 14, 5, where)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_study_that_goes_on(
    tmp_path: Path, uninterrupted: TuningResult
) -> None:
    root = ROOT
    for delay in np.random.default_rng(0).uniform(0, 0.8, size=3):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_KILLED), str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert run(location(tmp_path)) == uninterrupted


def test_storage_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    for url in ("nonsense", f"sqlite:///{tmp_path}/no/such/folder/x.db", "nodatabase://host/x"):
        with pytest.raises(ConfigError, match=r"ablation\.tuning\.storage: cannot use") as error:
            run(StudyLocation(url, "study"))
        assert "\n" not in str(error.value)


def test_a_password_is_in_no_error() -> None:
    url = "postgresql://me:secret@nowhere.invalid/x"
    with pytest.raises(ConfigError) as error:
        run(StudyLocation(url, "x"))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial_params SET param_value = param_value + 0.25 WHERE param_name = 'x'",
        "UPDATE trial_intermediate_values SET intermediate_value = 0.99",
        "UPDATE trial_values SET value = 0.99",
        "UPDATE trial_user_attributes SET value_json = '0.5' WHERE key = 'log_loss'",
        "DELETE FROM trial_user_attributes",
    ],
)
def test_a_damaged_study_is_refused(tmp_path: Path, change: str) -> None:
    where = location(tmp_path)
    run(where, trials=8)
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute(change)
    with pytest.raises(ConfigError, match=r"trial \d+ in sqlite:.* is damaged; remove it"):
        run(where)


CONFIG = AblationConfig(
    tuning=TuningConfig(trials=4, inner_folds=2),
    metadata=MetadataConfig(embedding_components=3, expression_components=2),
)
SETTINGS = Settings.of(CONFIG, ("metadata", "tuning"))


def test_a_resumed_lightgbm_is_the_uninterrupted_one(
    tmp_path: Path,
    table: FeatureTable,
    modalities: tuple[Modality, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arm = Arm("lightgbm", "lightgbm", modalities)
    expected = LightGbmModel(arm, SETTINGS).fit(table, 3)
    real, boosts = fusion.models.lightgbm.lightgbm.train, 0

    def dies(*args: Any, **kwargs: Any) -> Any:
        nonlocal boosts
        boosts += 1
        if boosts > 5:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    where = location(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(fusion.models.lightgbm.lightgbm, "train", dies)
        with pytest.raises(KeyboardInterrupt):
            LightGbmModel(arm, SETTINGS, where).fit(table, 3)
    resumed = LightGbmModel(arm, SETTINGS, where).fit(table, 3)
    assert resumed.booster_.model_to_string() == expected.booster_.model_to_string()
    assert resumed.choices_ == expected.choices_
    assert resumed.inner_.probability.tobytes() == expected.inner_.probability.tobytes()


def test_lightgbm_says_what_it_chose(table: FeatureTable, modalities: tuple[Modality, ...]) -> None:
    model = LightGbmModel(Arm("lightgbm", "lightgbm", modalities), SETTINGS).fit(table, 3)
    choices = model.choices_
    assert len(choices["trials"]) == 4
    assert choices["trials"][choices["best_trial"]]["parameters"] == choices["parameters"]
    assert choices["rounds"] == max(1, int(np.median(choices["inner_rounds"])))
    assert model.booster_.current_iteration() == choices["rounds"]
    assert choices["inputs"] == model.booster_.num_feature() == len(model.encoder_.features_)
