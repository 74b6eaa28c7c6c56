"""Arms over outer folds: what comes out, and what survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation_example import CONFIG, Setting, read_choices, setting_of
from listener_example import Listener
from locations import ROOT

import fusion.evaluation.fitting
from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from fusion.arms import Modality
from fusion.evaluation.predictions import prediction_types
from fusion.evaluation.records import read_seconds
from fusion.features.table import FeatureTable
from fusion.metrics.logits import sigmoid


@pytest.fixture(scope="module")
def setting(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Setting:
    return setting_of(cohort, folds, table, modalities)


@pytest.fixture(scope="module")
def finished(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work folder of a finished run; do not change it."""
    work = tmp_path_factory.mktemp("work")
    setting.run(work)
    return work


@pytest.fixture(scope="module")
def predictions(setting: Setting, finished: Path) -> pd.DataFrame:
    return setting.run(finished)


class TestPredictions:
    def test_how_long_fits_took_is_kept_beside_the_results(
        self, finished: Path, predictions: pd.DataFrame
    ) -> None:
        took = read_seconds(finished)  # `predictions` came from parts that were there already
        assert took.keys() == set(predictions["arm"])
        assert all(0 < seconds < 600 for seconds in took.values())
        assert "seconds" not in read_choices(finished)["fits"][0]

    def test_every_arm_predicts_every_patient_once(
        self, predictions: pd.DataFrame, setting: Setting
    ) -> None:
        assert predictions.dtypes.astype(str).to_dict() == prediction_types("binary")
        names = {arm.name for arm in setting.arms}
        assert set(predictions["arm"]) == names
        assert {"prevalence", "permuted_labels", "clinical_reference"} <= names
        patients = set(setting.cohort.patients["patient_id"])
        for _, rows in predictions.groupby("arm"):
            assert sorted(rows["patient_id"]) == sorted(patients)

    def test_rows_are_of_the_fold_that_held_the_patient_out(
        self, predictions: pd.DataFrame, setting: Setting
    ) -> None:
        test = setting.folds.tested(0)
        assert (predictions["fold"] == predictions["patient_id"].map(test)).all()
        outcome = setting.cohort.patients.set_index("patient_id")["outcome"]
        assert (predictions["y"] == predictions["patient_id"].map(outcome)).all()

    def test_probability_is_that_of_the_score(self, predictions: pd.DataFrame) -> None:
        ranked = predictions[predictions["arm"] != "prevalence"]
        np.testing.assert_allclose(sigmoid(ranked["score"].to_numpy()), ranked["probability"])
        assert (ranked.groupby(["arm", "fold"])["threshold"].nunique() == 1).all()

    def test_prevalence_ranks_nobody(self, predictions: pd.DataFrame, setting: Setting) -> None:
        rows = predictions[predictions["arm"] == "prevalence"]
        assert (rows["score"] == 0).all()
        patients = setting.cohort.patients.set_index("patient_id")["outcome"]
        for fold, part in rows.groupby("fold"):
            training = patients.drop(part["patient_id"])
            np.testing.assert_allclose(part["probability"], training.mean()), fold

    def test_choices_and_history_are_kept(self, finished: Path, setting: Setting) -> None:
        record = read_choices(finished)
        assert record["failures"] == []
        assert len(record["fits"]) == 3 * len(setting.arms)
        lightgbm = [f for f in record["fits"] if f["model"] == "lightgbm"]
        assert len(lightgbm) == 3
        assert all(len(f["choices"]["trials"]) == 2 for f in lightgbm)
        assert len({f["study"] for f in lightgbm}) == 3
        assert len({f["seed"] for f in record["fits"]}) == 3
        history = pd.read_parquet(finished / "history.parquet")
        assert set(history["arm"]) == {"fusion_head[all]"}
        assert set(history["fold"]) == {0, 1, 2}
        assert {"epoch", "train_loss", "validation_auroc"} <= set(history.columns)
        assert len(list((finished / "tuning").glob("*.db"))) == 3

    def test_an_ablation_without_heads_has_an_empty_history(
        self, setting: Setting, tmp_path: Path
    ) -> None:
        setting.run(tmp_path, arms=setting.arms[2:3])
        history = pd.read_parquet(tmp_path / "history.parquet")
        assert len(history) == 0
        assert {"arm", "repeat", "fold"} <= set(history.columns)


class TestReproducibility:
    def test_row_order_carries_no_meaning(
        self, setting: Setting, predictions: pd.DataFrame, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(0)
        shuffled = Setting(
            setting.cohort,
            Folds(setting.folds.table.sample(frac=1, random_state=0)),
            setting.table.take(rng.permutation(len(setting.table))),
            setting.arms,
        )
        pd.testing.assert_frame_equal(shuffled.run(tmp_path), predictions, check_exact=True)

    @pytest.mark.slow
    def test_the_number_of_workers_changes_nothing(
        self, setting: Setting, finished: Path, predictions: pd.DataFrame, tmp_path: Path
    ) -> None:
        listener = Listener()
        config = CONFIG.model_copy(update={"jobs": 2})
        table = setting.run(tmp_path, config, progress=listener)
        pd.testing.assert_frame_equal(table, predictions, check_exact=True)
        assert read_choices(tmp_path) == read_choices(finished)
        assert listener.done == listener.total == 3 * len(setting.arms)

    def test_a_second_run_fits_nothing(
        self, setting: Setting, finished: Path, predictions: pd.DataFrame
    ) -> None:
        def refused(repeat: int, fold: int) -> FeatureTable:
            raise AssertionError("nothing is left to do")

        listener = Listener()
        again = setting.run(finished, features_for=refused, progress=listener)
        pd.testing.assert_frame_equal(again, predictions, check_exact=True)
        assert listener.summary == f"ablate: 0 fits, {3 * len(setting.arms)} reused"
        assert listener.done == listener.total

    def test_only_what_changed_is_fitted_again(
        self, setting: Setting, tmp_path: Path, finished: Path
    ) -> None:
        import shutil

        work = tmp_path / "work"
        shutil.copytree(finished, work)
        listener = Listener()
        head = CONFIG.head.model_copy(update={"epochs": 3})
        setting.run(work, CONFIG.model_copy(update={"head": head}), progress=listener)
        assert listener.summary.startswith("ablate: 3 fits, ")
        for change in ({"data_digest": "other"}, {"seed": 1}):
            setting.run(work, progress=listener, arms=setting.arms[2:3], **change)
            assert listener.summary == "ablate: 3 fits, 0 reused"

    def test_damaged_parts_are_made_again(self, setting: Setting, tmp_path: Path) -> None:
        arms = setting.arms[2:3]
        expected = setting.run(tmp_path, arms=arms)
        parts = sorted((tmp_path / "parts").glob("*.parquet"))
        parts[0].write_bytes(parts[0].read_bytes()[:-7])
        flipped = bytearray(parts[1].read_bytes())
        flipped[len(flipped) // 2] ^= 1
        parts[1].write_bytes(flipped)
        listener = Listener()
        again = setting.run(tmp_path, arms=arms, progress=listener)
        pd.testing.assert_frame_equal(again, expected, check_exact=True)
        assert listener.summary == "ablate: 2 fits, 1 reused"

    @pytest.mark.parametrize("after", [1, 4, 7])
    def test_an_interrupted_run_goes_on(
        self,
        setting: Setting,
        predictions: pd.DataFrame,
        finished: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        after: int,
    ) -> None:
        real, fits = fusion.evaluation.fitting.model_of, 0

        def dies(*args: Any) -> Any:
            nonlocal fits
            fits += 1
            if fits > after:
                raise KeyboardInterrupt
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(fusion.evaluation.fitting, "model_of", dies)
            with pytest.raises(KeyboardInterrupt):
                setting.run(tmp_path)
        listener = Listener()
        again = setting.run(tmp_path, progress=listener)
        assert listener.summary.endswith(f", {after} reused")
        pd.testing.assert_frame_equal(again, predictions, check_exact=True)
        assert read_choices(tmp_path) == read_choices(finished)


_RUN = """
    import sys
    from pathlib import Path
    root, work = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(root / "tests" / "fusion" / "evaluation"))
    from evaluation_example import CONFIG, setting_of
    from tests.fusion.conftest import MODALITIES, cohort_of, feature_table, folds_of

    table = feature_table()
    cohort = cohort_of(table)
    setting = setting_of(cohort, folds_of(cohort), table, MODALITIES)
    print("ready", flush=True)
    setting.run(work, CONFIG.model_copy(update={"jobs": 2}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_with_workers_goes_on(
    setting: Setting,
    predictions: pd.DataFrame,
    finished: Path,
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    root = ROOT
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_RUN), str(root), str(tmp_path)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    wait_for(lambda: len(list((tmp_path / "parts").glob("*.parquet"))) >= 2, process)
    process.send_signal(how)
    process.communicate(timeout=300)
    listener = Listener()
    again = setting.run(tmp_path, progress=listener)
    reused = int(listener.summary.split(", ")[1].split()[0])
    assert reused >= 2
    pd.testing.assert_frame_equal(again, predictions, check_exact=True)
    assert read_choices(tmp_path) == read_choices(finished)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Waits until a condition holds or the process has ended."""
    for _ in range(6000):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.01)
    raise AssertionError("the run wrote no parts within a minute")
