"""The time ladder on cohorts whose hazards are known and whose specimens came late."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from time_ladder_example import MODALITIES, late_cohort, late_table, without_day

from featurestore.cohort.tables import Cohort
from fusion.arms import Modality
from fusion.config import AblationConfig, TimeLadderConfig, TuningConfig
from fusion.evaluation import time_ladder
from fusion.evaluation.rung_scores import Scored, score_rung
from fusion.evaluation.time_ladder import (
    Predictors,
    TimeLadder,
    TimeRung,
    climb_time,
    predictors_of,
)
from fusion.evaluation.time_rungs import CLEARED, DELAYED, FROM_SPECIMEN, FROM_ZERO, PRIMARIES
from fusion.metrics.survival import checked_times, harrell_c

CONFIG = TimeLadderConfig(components=4, folds=2, repeats=2, jobs=1)
ABLATION = AblationConfig(bootstrap_draws=200, tuning=TuningConfig(inner_folds=2))


def predictors(cohort: Cohort) -> Predictors:
    found = predictors_of(cohort, MODALITIES, ("net",), "diagnosis")
    assert found is not None
    return found


def climbed(cohort: Cohort, config: TimeLadderConfig = CONFIG) -> TimeLadder:
    return climb_time(cohort, late_table(cohort), predictors(cohort), config, ABLATION, 0)


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, int], Scored]:
    """Scores by rung and repeat, as they were fitted for `ladder`."""
    return {}


@pytest.fixture(scope="module")
def ladder(seen: dict[tuple[str, int], Scored]) -> TimeLadder:
    cohort, plain = late_cohort(), time_ladder._fit

    def spying(name: str, repeat: int, *rest: object) -> tuple[str, int, Scored | str]:
        found = plain(name, repeat, *rest)  # type: ignore[arg-type]
        ids = np.unique(rest[0].patient_ids.astype(str))  # type: ignore[attr-defined]
        assert isinstance(found[2], Scored)
        seen[name, repeat] = dataclasses.replace(found[2], score={"ids": ids})
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_ladder, "_fit", spying)
        return climbed(cohort)


def rung(ladder: TimeLadder, name: str) -> TimeRung:
    return next(r for r in ladder.rungs if r.name == name)


def test_the_first_rung_hides_what_the_picture_knows(ladder: TimeLadder) -> None:
    """The hazard follows the image factor, and so does the day of the specimen."""
    first = rung(ladder, FROM_ZERO).concordance["image"]
    for name in (DELAYED, FROM_SPECIMEN, CLEARED):
        assert rung(ladder, name).concordance["image"].value > first.value + 0.08
    assert rung(ladder, CLEARED).concordance["image"].low > 0.5


def test_every_rung_is_complete(ladder: TimeLadder) -> None:
    assert [r.name for r in ladder.rungs] == [
        FROM_ZERO, DELAYED, FROM_SPECIMEN, CLEARED, PRIMARIES,
    ]  # fmt: skip
    for r in ladder.rungs:
        assert not r.why_not
        assert r.until in (730.5, 1826.25)
        assert tuple(r.concordance) == ("clinical", "image", "both")
        for estimate in r.concordance.values():
            assert 0 < estimate.low < estimate.value < estimate.high < 1
        for name, gain in r.gains.items():
            apart = r.concordance["both"].value - r.concordance[name].value
            assert gain.value == pytest.approx(apart, abs=1e-12)
            assert gain.low < gain.value < gain.high


def test_nobody_dies_before_a_specimen_so_two_rungs_are_one(ladder: TimeLadder) -> None:
    third, fourth = rung(ladder, FROM_SPECIMEN), rung(ladder, CLEARED)
    assert third.concordance == fourth.concordance
    assert (third.at_once, fourth.left_out) == (0, {})


def test_a_patient_keeps_the_fold(ladder: TimeLadder, seen: dict[tuple[str, int], Scored]) -> None:
    assert len(seen) == 2 * len(ladder.rungs)
    for repeat in range(2):
        first = seen[FROM_ZERO, repeat]
        everyone = dict(zip(first.score["ids"], first.fold, strict=True))
        for name in (DELAYED, CLEARED, PRIMARIES):
            other = seen[name, repeat]
            assert [everyone[p] for p in other.score["ids"]] == other.fold.tolist()


def test_without_a_day_only_the_first_rung_is_climbed() -> None:
    cohort = without_day(late_cohort(80))
    found = climbed(cohort, CONFIG.model_copy(update={"repeats": 1}))
    assert [bool(r.why_not) for r in found.rungs] == [False, True, True, True, True]
    assert "a day is not guessed" in found.rungs[1].why_not
    assert found.rungs[1].left_out == {"the day of the specimen is not recorded": 80}


def test_a_rung_with_few_events_says_how_many() -> None:
    cohort = late_cohort(80, late=0.95)
    ladder = climbed(cohort, CONFIG.model_copy(update={"repeats": 1}))
    last = rung(ladder, PRIMARIES)
    assert last.n < 10
    assert last.why_not == f"{last.events} of {last.n} patients have the event; 10 are needed"
    assert not last.concordance
    assert np.isnan(last.until)


def test_what_is_late_is_what_became_known_after_time_zero() -> None:
    cohort = late_cohort(60)
    found = predictors(cohort)
    assert (found.early, found.late, found.embeddings) == (("factor",), (), ("net",))
    assert found.day == "days_to_specimen"
    assert found.late_name == "image"
    assert found.unsaid == ()
    more = (*MODALITIES, Modality("other", embeddings=("other",)))
    other = predictors_of(cohort, more, ("net", "other"), "diagnosis")
    assert other is not None
    assert (other.early_embeddings, other.unsaid) == (("other",), ("other",))
    unsaid = dataclasses.replace(cohort, features_measured={})
    assert predictors_of(unsaid, MODALITIES, ("net",), "diagnosis") is None
    assert predictors_of(cohort, MODALITIES, ("net",), "specimen") is None
    assert predictors_of(cohort, MODALITIES, (), "diagnosis") is None  # embedded fold by fold


def test_scores_of_one_fold_without_censoring_are_harrells() -> None:
    rng = np.random.default_rng(3)
    time = np.arange(1.0, 61.0)
    score = {"a": rng.normal(size=60) - time / 40, "b": -time}
    times = checked_times(time, np.ones(60))
    parts = [Scored(np.arange(60) % 2, score)]
    weights = np.ones((50, 60), dtype=np.uint16)
    found = score_rung(times, parts, (40.0, 1000.0), weights, np.arange(60))
    assert found.until == 40.0
    early = checked_times(np.minimum(time, 41), (time <= 40).astype(int))
    expected = harrell_c(early, score["a"], strata=parts[0].fold)[0]
    assert found.concordance["a"].value == pytest.approx(expected, abs=1e-12)
    assert found.concordance["b"].value == 1.0
    assert found.gains["a"].value == pytest.approx(1 - expected, abs=1e-12)


def test_follow_up_of_too_few_says_so() -> None:
    times = checked_times([1.0, 2.0, 3.0], [1, 1, 0])
    parts = [Scored(np.array([0, 1, 0]), {"a": np.zeros(3)})]
    found = score_rung(times, parts, (1.0,), np.ones((5, 3)), np.arange(3))
    assert "too few patients" in found.why_not
