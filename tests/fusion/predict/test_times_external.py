"""A bundle of times on another cohort: the metrics of a report, weights from the other cohort."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundle_example import Fitted
from click.testing import CliRunner
from times_bundle_example import times_frame, write_times_study

import cli
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import OUTCOMES
from fusion.metrics.survival import (
    brier_at,
    censoring_distribution,
    checked_times,
    dynamic_auc,
    harrell_c,
    observed_over_expected,
    uno_c,
)
from fusion.predict import Predictor
from fusion.predict.external import ExternalValidation, metrics_table, validate
from fusion.study.study import Study

H = 1095.75


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 80 other patients."""
    made = tmp_path_factory.mktemp("elsewhere")
    write_times_study(made / "config.yaml", times_frame(80, 21), horizons=["1y", "3y"])
    return made


@pytest.fixture(scope="module")
def predictor(times: Fitted) -> Predictor:
    """The bundle at work."""
    return Predictor.load(times.bundle)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    """The other patients."""
    return Study.open(folder / "config.yaml", folder / "run").source_cohort


@pytest.fixture(scope="module")
def found(cohort: Cohort, predictor: Predictor) -> ExternalValidation:
    """The bundle on the other patients."""
    return validate(predictor, cohort, 100, 0)


def test_the_numbers_are_those_of_the_predictions(found: ExternalValidation) -> None:
    assert len(found.arms) == 4
    for arm in found.arms:
        rows = found.predictions[found.predictions["arm"] == arm.arm]
        rows = rows.sort_values("patient_id")
        times = checked_times(rows["time"].to_numpy(), rows["event"].to_numpy())
        risk, score = rows[f"risk_at_{H}"].to_numpy(), rows["score"].to_numpy()
        g = censoring_distribution(times)
        by_hand = {
            "harrell_c": harrell_c(times, score),
            "uno_c": uno_c(times, score, g, tau=H),
            f"auc_at_{H}": dynamic_auc(times, risk, H, g),
            f"brier_at_{H}": brier_at(times, risk, H, g),
            f"observed_over_expected_at_{H}": observed_over_expected(times, risk, H),
        }
        for name, value in by_hand.items():
            stated = arm.metrics[name]
            assert stated.value == pytest.approx(float(value[0]), abs=1e-12), name
            assert stated.low < stated.value < stated.high
            assert arm.cross_validated[name].value != stated.value
    assert found.n == 80
    assert found.events == int((found.predictions["event"] == 1).sum() / 4)
    assert set(metrics_table(found)["outcome"]) == {"relapse"}


def test_intervals_are_of_models_held_fixed(found: ExternalValidation) -> None:
    assert {arm.metrics["uno_c"].method for arm in found.arms} == {"percentile"}


def test_a_score_is_that_of_the_bundle(found: ExternalValidation, predictor: Predictor) -> None:
    frame = times_frame(80, 21).set_index("id")
    patient = str(found.predictions["patient_id"].iloc[0])
    row = frame.loc[patient, ["age", "breslow", "sex"]].dropna()
    score = predictor.predict([predictor.case(row.to_dict())])[0].score
    rows = found.predictions.set_index(["arm", "patient_id"])
    np.testing.assert_allclose(rows.loc[(score.arm, patient), "score"], score.log_hazard_ratio)


def test_the_command_says_so_where_another_outcome_is_meant(folder: Path, times: Fitted) -> None:
    arguments = ["evaluate", str(times.bundle), str(folder / "config.yaml"), "--out",
                 str(folder / "here"), "--set", "ablation.bootstrap_draws=200",
                 "--set", "cohort.outcome.name=progression"]  # fmt: skip
    done = CliRunner().invoke(cli.cli, arguments)
    assert isinstance(done.exception, ConfigError)
    assert "say --other-outcome if you mean it" in str(done.exception)
    done = CliRunner().invoke(cli.cli, [*arguments, "--other-outcome"])
    assert done.exit_code == 0, done.output
    assert "80 patients" in done.stdout
    assert "the bundle predicts relapse, another outcome" in done.stdout
    assert "Uno's C" in done.stdout
    assert "O/E 3 years" in done.stdout
    table = pd.read_csv(folder / "here" / "external" / "external.csv")
    assert {"uno_c", f"brier_at_{H}"} <= set(table["metric"])
    assert set(table["outcome"]) == {"progression"}


def test_another_kind_of_outcome_is_one_line(cohort: Cohort, predictor: Predictor) -> None:
    binary = dataclasses.replace(cohort, outcome=OUTCOMES["synthetic_metastasis"])
    with pytest.raises(ConfigError, match="is of the kind 'binary', on which") as error:
        validate(predictor, binary, 100, 0, other_outcome=True)
    assert "\n" not in str(error.value)


def test_nobody_with_the_event_is_one_line(cohort: Cohort, predictor: Predictor) -> None:
    few = cohort.patients.head(5).assign(outcome=0.0)
    with pytest.raises(DataError, match="none of those who could be scored had the event"):
        validate(predictor, dataclasses.replace(cohort, patients=few), 100, 0)
