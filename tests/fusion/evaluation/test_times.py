"""Times to an event from arms to the predictions table: columns, exchange, resume, designs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
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

import fusion.evaluation.run
from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.config import AblationConfig, LearningCurveConfig, LeaveOutConfig
from fusion.evaluation import evaluate, prediction_types
from fusion.evaluation.designs import training_part, with_designs
from fusion.evaluation.permutation import draw_partners, with_partners_outcomes
from fusion.features.table import FeatureTable
from fusion.models import with_floors

ARMS = with_floors(
    tuple(
        Arm(f"{name}[all]", name, MODALITIES)
        for name in ("cox_ridge", "lightgbm", "fusion_head", "fusion_head_discrete")
    ),
    MODALITIES,
    times_table(4)[0].dictionary,
    "time_to_event",
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """Everything `evaluate` needs."""

    table: FeatureTable
    cohort: Cohort
    folds: Folds

    def run(
        self, work: Path, config: AblationConfig = CONFIG, arms: tuple[Arm, ...] = ARMS
    ) -> pd.DataFrame:
        plan = plan_of_times(work, config)
        return evaluate(self.cohort, self.folds, lambda r, f: self.table, arms, plan)


@pytest.fixture(scope="module")
def setting() -> Setting:
    table, _ = times_table(120, 0, HARD)
    cohort = cohort_of_times(table)
    return Setting(table, cohort, folds_of_times(cohort))


@pytest.fixture(scope="module")
def finished(setting: Setting, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Work folder of a finished run; do not change it."""
    work = tmp_path_factory.mktemp("work")
    setting.run(work).to_parquet(work / "predictions.parquet")
    return work


@pytest.fixture(scope="module")
def predictions(finished: Path) -> pd.DataFrame:
    return pd.read_parquet(finished / "predictions.parquet")


def fits_of(work: Path) -> list[dict[str, Any]]:
    record = json.loads((work / "choices.json").read_text())
    assert record["failures"] == []
    fits: list[dict[str, Any]] = record["fits"]
    return fits


def test_every_arm_predicts_every_patient_once(predictions: pd.DataFrame, setting: Setting) -> None:
    risks = [f"risk_at_{h:g}" for h in HORIZONS]
    assert list(predictions.columns) == list(prediction_types("time_to_event", risks))
    assert [arm.model for arm in ARMS[4:]] == [
        "clinical_reference",
        "stage_reference",
        "kaplan_meier",
        "permuted_labels",
    ]
    known = setting.cohort.patients.set_index("patient_id")
    for _, rows in predictions.groupby("arm"):
        own = known.loc[rows["patient_id"]]
        assert sorted(rows["patient_id"]) == sorted(known.index)
        assert rows["event"].tolist() == own["outcome"].tolist()
        assert rows["time"].tolist() == own["outcome_time"].tolist()
        assert rows["entry"].tolist() == own["outcome_entry"].tolist()
    assert np.isfinite(predictions[["score", *risks]]).all(axis=None)
    assert (predictions[risks[0]] <= predictions[risks[1]]).all()


def test_groups_are_cut_where_the_record_says(predictions: pd.DataFrame, finished: Path) -> None:
    for fit in fits_of(finished):
        rows = predictions[
            (predictions["arm"] == fit["arm"]) & (predictions["fold"] == fit["fold"])
        ]
        cuts = np.array(fit["risk_groups"]["cut_points"])
        above = (rows["score"].to_numpy()[:, None] > cuts).sum(axis=1)
        assert rows["risk_group"].tolist() == above.tolist()
        assert len(cuts) == 2
    known = predictions[predictions["arm"] == "kaplan_meier"]
    assert set(known["score"]) == {0.0}
    assert set(known["risk_group"]) == {0}


def test_groups_are_cut_as_configured(setting: Setting, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"risk_groups": (0.5,)})
    halves = setting.run(tmp_path, config, ARMS[:1])
    assert set(halves["risk_group"]) == {0, 1}


def test_times_are_exchanged_as_one(setting: Setting) -> None:
    """Event, time and entry of the permuted floor are those of one patient."""
    partners = draw_partners(setting.folds, (0, 0), 0)
    moved = with_partners_outcomes(setting.table, partners).target

    def triples(target: Target) -> set[tuple[float, float, float]]:
        assert target.time is not None
        assert target.entry is not None
        return set(zip(target.event, target.time, target.entry, strict=True))

    assert triples(moved) == triples(setting.table.target)
    assert moved.time is not None
    assert (moved.time != setting.table.target.time).any()


def test_a_second_run_takes_all_parts(
    setting: Setting, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion.evaluation.run, "fit_task", None)
    again = setting.run(finished)
    pd.testing.assert_frame_equal(again, pd.read_parquet(finished / "predictions.parquet"))


def test_a_killed_run_ends_with_the_same_bytes(
    setting: Setting, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = fusion.evaluation.run.fit_task, []

    def dies(*given: Any) -> Any:
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(1)
        return real(*given)

    monkeypatch.setattr(fusion.evaluation.run, "fit_task", dies)
    with pytest.raises(KeyboardInterrupt):
        setting.run(tmp_path)
    monkeypatch.setattr(fusion.evaluation.run, "fit_task", real)
    resumed = setting.run(tmp_path)
    pd.testing.assert_frame_equal(
        resumed, pd.read_parquet(finished / "predictions.parquet"), check_exact=True
    )
    assert (tmp_path / "choices.json").read_bytes() == (finished / "choices.json").read_bytes()


def test_other_horizons_are_other_parts(setting: Setting, tmp_path: Path) -> None:
    arms = ARMS[4:5]
    setting.run(tmp_path, arms=arms)
    plan = dataclasses.replace(plan_of_times(tmp_path), horizons=(500.0,))
    found = evaluate(setting.cohort, setting.folds, lambda r, f: setting.table, arms, plan)
    assert "risk_at_500" in found
    assert not {f"risk_at_{h:g}" for h in HORIZONS} & set(found)


def test_explanations_lose_concordance(finished: Path) -> None:
    fits = {f["arm"]: f for f in fits_of(finished) if f["fold"] == 0}
    for name in ("cox_ridge[all]", "lightgbm[all]", "fusion_head[all]"):
        found = fits[name]["explanation"]
        assert 0 <= found["concordance"] <= 1
        assert set(found["importance"]) == {"net_a", "demographic", "histopathology", "staging"}
    assert fits["lightgbm[all]"]["explanation"]["contributions"]
    assert fits["kaplan_meier"]["explanation"] is None


def test_designs(setting: Setting, tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={
            "leave_out": LeaveOutConfig(models=("cox_ridge",), groups=("staging",)),
            "learning_curve": LearningCurveConfig(models=("cox_ridge",), shares=(0.5,)),
        }
    )
    arms = with_designs(ARMS[:1], MODALITIES, setting.table.dictionary, config)
    found = setting.run(tmp_path, config, arms)
    assert sorted(found["design"].unique()) == ["ablation", "share 0.5", "without staging"]
    half = training_part(setting.table, "share 0.5", 0)
    events = [
        len(np.unique(t.patient_ids[t.target.event == 1].astype(str)))
        for t in (half, setting.table)
    ]
    assert events[0] == int(np.ceil(events[1] / 2))


@pytest.mark.slow
def test_no_arm_beats_the_oracle(tmp_path: Path) -> None:
    from fusion.metrics.survival import harrell_c

    table, truth = times_table(500, 11)
    cohort = cohort_of_times(table)
    plan = plan_of_times(tmp_path)
    folds = folds_of_times(cohort)
    found = evaluate(cohort, folds, lambda r, f: table, ARMS, plan)
    oracle = harrell_c(truth.times, truth.log_hazard_ratio)[0]
    reached = {}
    for arm, rows in found.groupby("arm"):
        # Rows are sorted by fold, the truth by patient.
        order = np.argsort(rows["patient_id"].to_numpy())
        score, fold = (rows[c].to_numpy()[order] for c in ("score", "fold"))
        reached[arm] = harrell_c(truth.times, score, strata=fold)[0]
    assert max(reached.values()) < oracle
    assert reached["cox_ridge[all]"] > 0.62
    assert reached["kaplan_meier"] == 0.5
    assert abs(reached["permuted_labels"] - 0.5) < 0.07
