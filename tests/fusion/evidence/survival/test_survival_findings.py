"""What is said before the numbers of times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from survival_evidence_example import BASELINE, YEAR, Made, made, predictions_of

from fusion.evidence import Evidence, collect
from fusion.evidence.spans import span
from fusion.evidence.survival.hazards import proportional_score
from fusion.evidence.survival.predictions import align_times
from fusion.metrics.survival.simulation import Design


def texts(e: Evidence, level: str) -> str:
    return " ".join(f.text for f in e.findings if f.level == level)


def evidence_of(study: Made, **changes: object) -> Evidence:
    table = predictions_of(study, repeats=1).assign(**changes)
    return collect(study.inputs(draws=20), table)


def test_few_events_and_short_follow_up() -> None:
    found = evidence_of(made(Design(effect=1.0, scale=25.0, censoring=0.35), n=160))
    events = found.arms[0].events
    assert events < 50
    assert f"Few events: {events} of 160" in texts(found, "note") + texts(found, "warning")
    assert "Short follow-up" in texts(found, "note")


def test_many_events_and_long_follow_up_are_not_mentioned() -> None:
    found = evidence_of(made(Design(effect=1.0, censoring=0.05), n=200))
    for text in ("Few events", "Short follow-up", "No metric is printed"):
        assert text not in texts(found, "note") + texts(found, "warning")


def test_an_arm_of_noise_ranks_and_predicts_no_better_than_nothing() -> None:
    study = made(n=200)
    table = predictions_of(study, repeats=1)
    noise = np.random.default_rng(0)
    rows = table["arm"] == "lightgbm[image+clinical]"
    table.loc[rows, "score"] = noise.normal(size=rows.sum())
    for column in ("risk_at_730.5", "risk_at_1826.25"):
        table.loc[rows, column] = noise.permutation(table.loc[rows, column].to_numpy())
    found = collect(study.inputs(draws=40), table)
    warned = texts(found, "warning")
    assert "do not measurably rank patients better than chance: lightgbm[image+clinical]" in warned
    assert "no better than one Kaplan–Meier curve" in warned
    assert BASELINE not in warned.split("one Kaplan–Meier curve")[1].split(".")[1]


def test_a_score_whose_effect_vanishes_is_noted() -> None:
    """Early events follow the score, late ones nothing."""
    study = made(Design(effect=1.5, censoring=0.02), n=240)
    aligned = align_times(predictions_of(study, repeats=1), BASELINE)
    steady = proportional_score(aligned.times, aligned[BASELINE])
    assert steady is not None
    assert steady.p > 0.01
    arm = aligned[BASELINE]
    part = arm.repeats[0]
    late = aligned.times.time > np.median(aligned.times.time)
    score = np.where(late, np.random.default_rng(0).permutation(part.score), 2 * part.score)
    changed = dataclasses.replace(arm, repeats=(dataclasses.replace(part, score=score),))
    fading = proportional_score(aligned.times, changed)
    assert fading is not None
    assert fading.p < 0.001
    assert fading.early > 1.5 * fading.late


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (5 * YEAR, "5 years"),
        (YEAR, "1 year"),
        (1.5 * YEAR, "18 months"),
        (6.7 * YEAR, "6.7 years"),
        (90, "90 days"),
        (1, "1 day"),
    ],
)
def test_spans_are_said_as_people_say_them(days: float, words: str) -> None:
    assert span(days) == words
