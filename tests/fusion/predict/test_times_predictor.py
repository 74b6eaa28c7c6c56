"""Risks, intervals and curves of new patients by a bundle of times to an event."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bundle_example import Fitted
from click.testing import CliRunner
from times_bundle_example import LATE, TIMES_ARMS, times_frame, write_times_study

import cli
from featurestore.errors import DataError, MelafuseError
from fusion.bundle import read_bundle, write_bundle
from fusion.bundle.fitting import fit_arms
from fusion.bundle.make import assemble, fit_bundle
from fusion.evaluation.tasks import Plan, plan_tasks, split_fold
from fusion.predict import Prediction, Predictor, TimesScore, prediction_record
from fusion.predict.explain import explain
from fusion.predict.reading import read_cases
from fusion.predict.scores_times import curve_days
from fusion.study.study import FinalFeatures, Study

PATIENT = {"age": 70, "breslow": 3.2, "sex": "male"}


@pytest.fixture(scope="module")
def predictor(times: Fitted) -> Predictor:
    """The bundle at work."""
    return Predictor.load(times.bundle)


def scores_of(prediction: Prediction) -> dict[str, TimesScore]:
    return {score.arm: score for score in (prediction.score, *prediction.others)}


def require_the_evaluation(study: Study, names: tuple[str, ...], out: Path) -> None:
    """Fits a fold's training part as a bundle does, and scores its test patients by the files."""
    arms = tuple(next(a for a in study.arms if a.name == name) for name in names)
    predictions = study.ablate()
    ablation, outcome = study.config.ablation, study.cohort.outcome
    plan = Plan(
        ablation, study.config.seed, "times", out, "", kind=outcome.kind, horizons=outcome.horizons
    )
    tasks = plan_tasks(study.folds, list(arms), plan)
    task = next(t for t in tasks if (t.repeat, t.fold) == (0, 1))
    training, test = split_fold(study.features(0, 1), task.training_patients, task.test_patients)
    fitted = fit_arms(training, arms, ablation, task.seed, replicates=0)
    final = FinalFeatures(training, {}, {})
    write_bundle(*assemble(study, final, fitted, study.evidence(predictions)), out / "fold.zip")
    predictor = Predictor.load(out / "fold.zip")
    patients = study.cohort.patients.set_index("patient_id")
    names_in = [c.name for c in predictor.bundle.record.inputs]
    cases = []
    for patient in task.test_patients:
        row = patients.loc[patient]
        values = {n: row[n] for n in names_in if not pd.isna(row[n])}
        if row["outcome_entry"] <= predictor.bundle.record.outcome.known_until:
            cases.append(
                predictor.case({**values, "entry_days": row["outcome_entry"]}, (), patient)
            )
    together = predictor.predict(cases)
    assert len(together) > len(task.test_patients) - 3
    expected = predictions[predictions["fold"] == 1].set_index(["arm", "patient_id"])
    for prediction in together:
        place = int(np.flatnonzero(test.patient_ids == prediction.patient_id)[0])
        alone = test.take(np.array([place]))
        for one in fitted:
            score = scores_of(prediction)[one.arm.name]
            days = np.array([r.days for r in (*score.risks, *score.curve)])
            said = one.model.predict(alone, days)
            assert abs(score.log_hazard_ratio - said.score[0]) < 1e-9
            given = [r.risk for r in (*score.risks, *score.curve)]
            np.testing.assert_allclose(given, said.risk[0], rtol=0, atol=1e-9)
            row = expected.loc[(one.arm.name, prediction.patient_id)]
            # A network's sums in single precision depend on who else is in the batch.
            near = 1e-5 if one.arm.model.startswith("fusion_head") else 1e-9
            assert abs(score.log_hazard_ratio - row["score"]) < near
            assert score.group - 1 == row["risk_group"]
            for risk in score.risks:
                assert abs((risk.risk or 0.0) - row[f"risk_at_{risk.days:g}"]) < near
    assert [predictor.predict([case])[0] for case in cases[:3]] == together[:3]


def test_scores_are_those_of_the_evaluation(times: Fitted, tmp_path: Path) -> None:
    require_the_evaluation(times.study, TIMES_ARMS, tmp_path)


def test_scores_with_late_entry_and_a_competing_event_are_too(tmp_path: Path) -> None:
    write_times_study(
        tmp_path / "config.yaml",
        times_frame(90, 6, LATE),
        competing="death",
        entry="entry",
        horizons=["1y", "3y"],
    )
    models = ["ablation.models=[cox_ridge]", "ablation.arms=[{model: lightgbm}]"]
    study = Study.open(tmp_path / "config.yaml", tmp_path / "run", overrides=models)
    require_the_evaluation(study, ("cox_ridge[all]", "lightgbm[all]"), tmp_path)
    record = read_bundle(tmp_path / "fold.zip").record
    assert record.outcome.competing
    assert record.outcome.late_entry


def test_a_score_holds_together(predictor: Predictor) -> None:
    (prediction,) = predictor.predict([predictor.case(PATIENT)])
    until = predictor.bundle.record.outcome.known_until
    assert list(scores_of(prediction)) == list(TIMES_ARMS)
    for score in scores_of(prediction).values():
        assert [r.days for r in score.risks] == [365.25, 1095.75]
        assert score.low is not None
        assert score.low < score.log_hazard_ratio < score.high
        curve = {r.days: r for r in score.curve}
        assert max(curve) <= until
        risks = [r.risk for r in score.curve]
        assert risks[0] == 0.0
        assert risks == sorted(risks)
        for risk in (*score.risks, *score.curve):
            assert risk.low is None or risk.low <= risk.risk <= risk.high
        assert curve[365.25].risk == score.risks[0].risk
        before = [r.risk for r in score.curve if r.days < (score.median or math.inf)]
        assert all(r < 0.5 for r in before)
        assert (score.median is None) == (risks[-1] < 0.5)
        assert score.groups == 3
        assert 1 <= score.group <= 3
    assert prediction.score.used == ("demographic", "histopathology")


def test_the_course_is_counted_from_where_the_patient_is(predictor: Predictor) -> None:
    """S(t | free at e) = S(t) / S(e), of a proportional hazards model and so of its risks."""
    start, later = predictor.predict(
        [predictor.case(PATIENT), predictor.case({**PATIENT, "entry_days": 365.25})]
    )
    first, second = (scores_of(p)["cox_ridge[all]"] for p in (start, later))
    assert second.log_hazard_ratio == first.log_hazard_ratio
    assert (second.risks[0].risk, second.risks[0].low, second.risks[0].high) == (0.0, 0.0, 0.0)
    free = 1 - first.risks[0].risk
    for before, after in zip(first.curve, second.curve, strict=True):
        expected = max(0.0, 1 - (1 - before.risk) / free)
        assert after.risk == pytest.approx(expected, abs=1e-12)
    for wrong in (-1, 1e6, "soon"):
        with pytest.raises(DataError, match="entry_days"):
            predictor.case({**PATIENT, "entry_days": wrong})


def test_plain_json_says_what_the_numbers_are(predictor: Predictor) -> None:
    record = prediction_record(predictor.predict([predictor.case(PATIENT)])[0], predictor.bundle)
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert record["time_zero"] == "surgery"
    assert record["risks"][1]["horizon"] == "3 years"
    assert record["risk"].startswith("risk group ")
    assert len(record["curve"]["days"]) == len(record["curve"]["event_free"])
    assert len(record["curve"]["days"]) == len(record["curve"]["low"])
    assert "probability" not in record
    assert record["disclaimer"].startswith("For research use only")


def test_a_table_is_scored_to_a_file_and_goes_on(
    times: Fitted, predictor: Predictor, tmp_path: Path
) -> None:
    frame = times_frame(40, 9).drop(columns=["days", "relapse", "death", "entry"])
    frame = frame.rename(columns={"id": "patient_id"}).assign(entry_days=0)
    frame.loc[3, "entry_days"] = 365
    frame["age"] = frame["age"].astype(object)
    frame.loc[5, "age"] = "old"
    frame.to_csv(tmp_path / "patients.csv", index=False)
    runner, out = CliRunner(), tmp_path / "scores.csv"
    arguments = ["predict", str(times.bundle), "--metadata", str(tmp_path / "patients.csv"),
                 "--format", "csv", "--quiet", "--out"]  # fmt: skip
    done = runner.invoke(cli.cli, [*arguments, str(out)])
    assert isinstance(done.exception, DataError)
    assert "1 of 40 patients could not be scored" in str(done.exception)
    rows = list(csv.DictReader(out.open()))
    assert "age" in rows[5]["error"]
    assert rows[5]["risk_at_365.25"] == ""
    alone = predictor.predict(
        [predictor.case({k: frame.loc[0, k] for k in PATIENT if not pd.isna(frame.loc[0, k])})]
    )[0].score
    assert float(rows[0]["risk_at_1095.75"]) == alone.risks[1].risk
    assert float(rows[0]["event_free_at_91.3125"]) == 1 - alone.curve[1].risk
    assert rows[0]["risk"] == alone.risk
    assert float(rows[3]["risk_at_365.25"]) == 0.0
    # Cut off after the first chunk, as a crash would; the same command ends with the same bytes.
    cases = read_cases(predictor.bundle.record, [], tmp_path / "patients.csv").cases
    from fusion.predict import stream

    again = tmp_path / "again.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_finish", _crash)
        with pytest.raises(KeyboardInterrupt):
            stream.write_all(predictor, cases, again, "csv")
    partial = again.with_name("again.csv.partial")
    partial.write_bytes(partial.read_bytes()[:-2000])
    runner.invoke(cli.cli, [*arguments, str(again)])
    assert again.read_bytes() == out.read_bytes()


def _crash(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_explanation_is_in_log_hazard_ratios(
    times: Fitted, predictor: Predictor, tmp_path: Path
) -> None:
    found = explain(predictor, predictor.prepare(predictor.case(PATIENT)))
    assert {c.name for c in found.contributions} == set(PATIENT)
    whole, without = (
        predictor.predict([predictor.case(values)])[0].score.log_hazard_ratio
        for values in (PATIENT, {"age": 70, "sex": "male"})
    )
    breslow = next(c for c in found.contributions if c.name == "breslow")
    assert breslow.change == pytest.approx(whole - without, abs=1e-6)
    (tmp_path / "one.json").write_text(json.dumps(PATIENT))
    done = CliRunner().invoke(
        cli.cli,
        ["predict", str(times.bundle), "--metadata", str(tmp_path / "one.json"), "--quiet",
         "--explain", str(tmp_path / "why")],
    )  # fmt: skip
    assert done.exit_code == 0
    assert json.loads(done.stdout)["median_days"] is not None or "risk group" in done.stdout
    (folder,) = (tmp_path / "why").iterdir()
    assert "log hazard ratio with the input" in (folder / "explanation.json").read_text()
    assert (folder / "contributions.png").stat().st_size > 1000


def test_without_replicates_there_is_no_interval(times: Fitted, tmp_path: Path) -> None:
    fit_bundle(times.study, tmp_path / "b.zip", ["cox_ridge[all]"], replicates=0)
    predictor = Predictor.load(tmp_path / "b.zip")
    record = prediction_record(predictor.predict([predictor.case(PATIENT)])[0], predictor.bundle)
    assert record["interval"] is None
    assert {risk["interval"] for risk in record["risks"]} == {None}
    assert record["curve"]["low"] is None


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_cannot_score_is_refused_at_load(times: Fitted, tmp_path: Path) -> None:
    bundle = read_bundle(times.bundle)
    spoilt = dict(bundle.contents)
    told = json.loads(spoilt["models/1.json"])
    told["risks"] |= {"slope": 1e308, "centre": 1e308}
    spoilt["models/1.json"] = json.dumps(told).encode()
    write_bundle(bundle.record, spoilt, tmp_path / "b")
    with pytest.raises(MelafuseError, match="made-up patient") as error:
        Predictor.load(tmp_path / "b")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("until", [3.0, 59.0, 400.0, 2790.0, 40_000.0])
def test_a_curve_has_points_that_people_count_in(until: float) -> None:
    days = curve_days(until)
    assert days[0] == 0
    assert 3 <= len(days) <= 61
    assert until - np.diff(days)[0] < days[-1] <= until
    np.testing.assert_allclose(np.diff(days), days[1])
