"""A bundle of times to an event: what it says of itself, and that nothing of it was scored on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from bundle_example import Fitted, predictions_of
from pydantic import ValidationError
from times_bundle_example import TIMES_ARMS, times_frame, write_times_study
from times_features_example import CONFIG, HARD, MODALITIES, times_table

from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import Target
from fusion.arms import Arm
from fusion.bundle import read_bundle
from fusion.bundle.codecs import save_model
from fusion.bundle.fitting import fit_arms
from fusion.bundle.make import choose_arms, fit_bundle
from fusion.bundle.record import TimesModelRecord, TimesOutcomeRecord
from fusion.metrics.survival import harrell_c
from fusion.metrics.survival.times import checked_times
from fusion.study.study import Study


def test_a_bundle_says_what_is_predicted_and_what_the_study_measured(times: Fitted) -> None:
    record = read_bundle(times.bundle).record
    outcome = record.outcome
    assert isinstance(outcome, TimesOutcomeRecord)
    assert record.kind == "time_to_event"
    assert (outcome.name, outcome.time_zero, outcome.horizons) == (
        "relapse",
        "surgery",
        (365.25, 1095.75),
    )
    assert outcome.unsupported == (15 * 365.25,)
    assert outcome.known_until < times.study.cohort.patients["outcome_time"].max()
    assert not outcome.competing
    assert not outcome.late_entry
    predictions = predictions_of(times)
    assert [m.arm for m in record.models] == list(TIMES_ARMS)
    for model in record.models:
        own = predictions[predictions["arm"] == model.arm]
        followed = checked_times(own["time"].to_numpy(), own["event"].to_numpy())
        c = harrell_c(followed, own["score"].to_numpy(), strata=own["fold"].to_numpy())[0]
        assert model.performance.metrics["harrell_c"].value == pytest.approx(c)
        assert "measured on nobody" in model.performance.what
        assert isinstance(model, TimesModelRecord)
        assert model.cut_rule.startswith("thirds of the log hazard ratios of inner")


def test_a_bundle_names_no_patient(times: Fitted) -> None:
    bundle = read_bundle(times.bundle)
    whole = b"".join(bundle.contents.values()) + (times.bundle / "bundle.json").read_bytes()
    for word in (*times.study.cohort.patients["patient_id"], str(times.out)):
        assert str(word).encode() not in whole
    assert {Path(name).suffix for name in bundle.contents} == {".json", ".safetensors", ".txt"}


def test_fit_is_the_same_again(times: Fitted, tmp_path: Path) -> None:
    arms = TIMES_ARMS[1:2]
    first, again = (
        fit_bundle(times.study, tmp_path / f"{k}.zip", arms, replicates=1) for k in range(2)
    )
    assert first.digest == again.digest
    assert read_bundle(tmp_path / "0.zip").record == first.record


def test_groups_are_cut_on_predictions_of_fits_that_had_not_seen_the_patients() -> None:
    """Cuts are quantiles of inner scores, not of the fitted model's on its own training rows."""
    table, _ = times_table(80, 3)
    arm = Arm("arm", "lightgbm", MODALITIES)
    (fitted,) = fit_arms(table, (arm,), CONFIG, 4, replicates=1)
    cuts = np.quantile(fitted.model.inner_.score, [1 / 3, 2 / 3])
    np.testing.assert_array_equal(fitted.decided["cut_points"], cuts)
    first = np.unique(table.patient_ids.astype(str), return_index=True)[1]
    seen = fitted.model.predict(table, np.empty(0)).score[first]
    assert np.abs(np.quantile(seen, [1 / 3, 2 / 3]) - cuts).max() > 1e-3


def test_poison_in_rows_that_are_scored_changes_nothing_of_a_bundle() -> None:
    """Weights, baseline hazards, scale and cut points are of the rows that `fit_arms` is given."""
    table, _ = times_table(80, 3, HARD)
    training = table.patient_ids.astype(str) < "P0050"
    arms = tuple(Arm(name, name, MODALITIES) for name in ("cox_ridge", "lightgbm_discrete"))

    def learned(poisoned: np.ndarray) -> list[object]:
        numbers = {c: table.columns[c].where(~poisoned, 1e6) for c in ("age_at_diagnosis",)}
        target = table.target
        assert target.time is not None
        later = np.where(poisoned, target.time + 40_000, target.time)
        changed = dataclasses.replace(
            table,
            columns=table.columns.assign(**numbers),
            target=Target.time_to_event(target.event, later, target.entry),
        )
        fitted = fit_arms(changed.take(training), arms, CONFIG, 4, replicates=1)
        return [
            (one.decided, [save_model(one.arm.model, m, "m", "time_to_event") for m in every])
            for one in fitted
            for every in [(one.model, *one.replicates)]
        ]

    clean = learned(np.zeros(len(table), dtype=bool))
    assert learned(~training) == clean
    seen = learned(table.patient_ids == table.patient_ids[0])
    assert all(after != before for after, before in zip(seen, clean, strict=True))


def test_arms_that_only_pickle_could_store_are_refused_with_the_reason() -> None:
    names = ("random_survival_forest", "lightgbm", "cox_ridge")
    arms = [Arm(name, name, MODALITIES) for name in names]
    with pytest.raises(ConfigError, match=r"objects that only pickle could store.*: lightgbm"):
        choose_arms(arms, "cox_ridge", ["random_survival_forest"], kind="time_to_event")
    chosen = choose_arms(arms, "cox_ridge", kind="time_to_event")
    assert [arm.name for arm in chosen] == ["cox_ridge", "lightgbm"]


def test_records_that_make_no_sense_are_refused(times: Fitted) -> None:
    record = read_bundle(times.bundle).record
    told = record.model_dump(mode="json")
    for change in (
        {"outcome": {**told["outcome"], "horizons": [9e4]}},
        {"outcome": {**told["outcome"], "horizons": [3.0, 2.0]}},
        {"models": [{**told["models"][0], "cut_points": [1.0, 0.0]}]},
        {"models": [{**told["models"][0], "threshold": 0.5}]},
        {"outcome": {k: told["outcome"][k] for k in ("name", "definition", "unit", "as_of",
                                                     "caveats")}},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            type(record).model_validate({**told, **change})


def test_a_study_whose_horizons_follow_up_does_not_support_has_no_bundle(tmp_path: Path) -> None:
    table = times_frame(60, 4)
    write_times_study(tmp_path / "config.yaml", table, horizons=[f"{int(table['days'].max())}d"])
    study = Study.open(
        tmp_path / "config.yaml",
        tmp_path / "run",
        overrides=["ablation.models=[cox_ridge]", "ablation.arms=[]"],
    )
    with pytest.raises(DataError, match="supports none of the horizons"):
        fit_bundle(study, tmp_path / "b", replicates=0)
