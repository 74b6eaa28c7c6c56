"""Clean cohorts: no check fires, whatever the seed and the order of rows."""

from __future__ import annotations

import pytest
from audit_example import clean_cohort, make_subject, shuffled

from fusion.audit import CHECKS, run_audit


@pytest.mark.parametrize("seed", range(8))
def test_clean_cohort_raises_none(seed: int) -> None:
    report = run_audit(make_subject(clean_cohort(seed=seed)))
    assert [r.check.name for r in report.fired] == []
    assert not report.invalidated
    assert len(report.results) == sum(check.kind == "" for check in CHECKS)


@pytest.mark.parametrize("seed", range(4))
def test_small_clean_cohort_raises_nothing_but_its_size(seed: int) -> None:
    report = run_audit(make_subject(clean_cohort(patients=64, seed=seed)))
    assert [r.check.name for r in report.fired] == ["events_per_predictor"]
    assert not report.invalidated


def test_row_order_carries_no_meaning() -> None:
    subject = make_subject(clean_cohort(patients=64, seed=1))
    assert run_audit(shuffled(subject)) == run_audit(subject)


def test_names_are_unique_and_said_for_people() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert check.looks_at.endswith(".")
        assert check.advice.endswith(".")
