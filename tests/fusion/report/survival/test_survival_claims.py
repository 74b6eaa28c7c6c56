"""Sentences of a report on times are made from what ran, or they are not there."""

from __future__ import annotations

import dataclasses

import pytest
from survival_evidence_example import HORIZONS, made, predictions_of

from featurestore.errors import DataError
from fusion.evidence import Evidence, FinishedRun, collect
from fusion.evidence.survival import SurvivalEvidence
from fusion.metrics.survival.simulation import Design
from fusion.report.comparison import arms_table, compare, draw_forest, tidy_comparison
from fusion.report.latex import render_latex
from fusion.report.markdown import render_markdown
from fusion.report.methods import study_rows
from fusion.report.model_card import model_card_markdown
from fusion.report.survival.words import methods
from fusion.report.tripod import tidy_tripod

from evidence_example import example  # isort: skip


def of(design: Design | None = None) -> SurvivalEvidence:
    study = made(design, n=120)
    found = collect(study.inputs(draws=20), predictions_of(study))
    assert isinstance(found, SurvivalEvidence)
    return found


@pytest.fixture(scope="module")
def plain() -> SurvivalEvidence:
    return of()


@pytest.fixture(scope="module")
def competing() -> SurvivalEvidence:
    return of(Design(effect=1.0, censoring=0.1, competing=0.5, late=0.4))


def said(e: Evidence) -> str:
    """Everything that the report says in words."""
    parts = [render_markdown(e), model_card_markdown(e), *methods(e)]  # type: ignore[arg-type]
    return " ".join([*parts, *tidy_tripod(e)["text"]])


def test_competing_and_late_are_said_where_they_are(
    plain: SurvivalEvidence, competing: SurvivalEvidence
) -> None:
    for text in ("cause-specific", "Aalen", "competing event"):
        assert text in said(competing)
        assert text not in said(plain)
    assert "came under observation only after time zero" in said(competing)
    assert "time zero and count from then on" not in said(plain)


def test_numbers_of_patients_are_those_of_follow_up(competing: SurvivalEvidence) -> None:
    f = competing.follow_up
    assert f.events + f.competing + f.censored == f.patients == 120
    header = dict(study_rows(competing))["Patients"]
    assert f"{f.events} with the event, {f.competing} with a competing event" in header
    flow = tidy_tripod(competing).set_index("item").loc["20a", "text"]
    assert f"{f.censored} censored" in flow


def test_a_horizon_without_numbers_is_in_no_claim_of_performance(plain: SurvivalEvidence) -> None:
    study = made(n=120)
    outcome = dataclasses.replace(study.cohort.outcome, horizons=(HORIZONS[0], 9000.0))
    late = dataclasses.replace(study, cohort=dataclasses.replace(study.cohort, outcome=outcome))
    table = predictions_of(study).rename(columns={"risk_at_1826.25": "risk_at_9000"})
    found = collect(late.inputs(draws=20), table)
    answers = tidy_tripod(found).set_index("item")["text"]
    for item in ("12e", "23a"):
        assert "2 years" in answers[item]
        assert "24.6 years" not in answers[item]
    assert "integrated Brier" not in answers["12e"]
    assert "integrated Brier" in tidy_tripod(plain).set_index("item")["text"]["12e"]
    assert "9000" not in render_latex(found)


def test_coverage_is_claimed_as_simulated_for_concordance(plain: SurvivalEvidence) -> None:
    assert "widened for training (simulated coverage 95.5–100.0 %)" in said(plain)
    assert "92.0–99.0" not in said(plain), "that is of an AUROC"
    assert "bootstrap of patients (coverage not simulated)" in said(plain), "permuted pairs"


def test_runs_of_times_are_compared_by_their_own_metrics(plain: SurvivalEvidence) -> None:
    found = FinishedRun(plain, "a", "b")
    comparison = compare([found, found], ["x", "y"])
    assert "C [95 % CI]" in arms_table(comparison).columns
    table = tidy_comparison(comparison)
    assert {"uno_c", "uno_c_low", "auc_at_730.5", "brier_at_1826.25"} <= set(table.columns)
    assert draw_forest(comparison).title == "C of every arm and run"
    with pytest.raises(DataError, match="several kinds cannot be compared"):
        compare([found, FinishedRun(example(), "a", "b")], ["x", "y"])
