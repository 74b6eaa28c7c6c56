"""What a report says of its intervals is what was simulated."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from locations import ROOT

from fusion.evidence.intervals import KINDS, POOLING, interval_facts
from fusion.metrics import Estimate

LEAST_STUDIES = 200
"""Studies of a setting below which its coverage is too uncertain to count as lowest or highest."""


@pytest.mark.parametrize(("method", "repeats"), [("bound", {1}), ("repeats", {2, 3})])
def test_stated_coverage_is_that_of_the_table_of_results(method: str, repeats: set[int]) -> None:
    cells = pd.read_csv(ROOT / "benchmarks" / "intervals" / "results.csv")
    cells = cells[(cells["interval"] == "pooled, widened") & cells["repeats"].isin(repeats)]
    cells = cells[cells["studies"] >= LEAST_STUDIES]
    assert len(cells) >= 60
    coverage = cells["covered"] / cells["studies"]
    arm = coverage[cells["question"] == "arm"]
    difference = coverage[cells["question"].isin(["gain", "no gain"])]
    facts = KINDS[method]
    assert facts.short_of == tuple(
        (int((shares < 0.93).sum()), len(shares)) for shares in (arm, difference)
    )
    assert facts.arm_coverage == pytest.approx((arm.min(), arm.max()), abs=6e-4)
    assert facts.difference_coverage == pytest.approx(
        (difference.min(), difference.max()), abs=6e-4
    )


@pytest.mark.parametrize(
    ("method", "questions"), [("bound", {"uno_c, 1"}), ("repeats", {"uno_c, 2", "uno_c, 3"})]
)
def test_stated_coverage_of_concordance_is_that_of_its_table(
    method: str, questions: set[str]
) -> None:
    cells = pd.read_csv(ROOT / "benchmarks" / "intervals" / "concordance.csv")
    cells = cells[cells["question"].isin(questions)]
    assert len(cells) == 12 * len(questions)
    assert cells["studies"].min() == 200
    assert cells["undefined"].max() == 0
    coverage = cells["covered"] / cells["studies"]
    found = KINDS[method].coverage_of("uno_c")
    assert found == pytest.approx((coverage.min(), coverage.max()), abs=6e-4)


@pytest.mark.parametrize(("metric", "least", "short"), [("auprc", 0.936, 0), ("brier", 0.926, 2)])
def test_stated_coverage_of_other_metrics_is_that_of_the_table(
    metric: str, least: float, short: int
) -> None:
    cells = pd.read_csv(ROOT / "benchmarks" / "intervals" / "results.csv")
    cells = cells[(cells["interval"] == "melafuse") & (cells["question"] == metric)]
    assert cells["studies"].min() == 500
    assert cells.groupby("repeats").size().to_dict() == {1: 50, 2: 50, 3: 50}
    coverage = cells["covered"] / cells["studies"]
    assert coverage[cells["repeats"] == 1].agg(["min", "max"]).tolist() == [0.96, 0.994]
    assert coverage.min() == least
    assert (coverage < 0.93).sum() == short


@pytest.mark.parametrize(("question", "least"), [("arm", 0.97), ("gain", 0.965)])
def test_stated_coverage_of_tuned_models_is_that_of_their_table(
    question: str, least: float
) -> None:
    cells = pd.read_csv(ROOT / "benchmarks" / "intervals" / "tuned.csv")
    cells = cells[(cells["interval"] == "pooled, widened") & (cells["question"] == question)]
    assert len(cells) == 15
    assert cells["studies"].min() == LEAST_STUDIES
    coverage = cells["covered"] / cells["studies"]
    assert (coverage.min(), coverage.max()) == (least, 1.0)


def test_predictions_have_no_interval_that_holds_models_fixed() -> None:
    """One function makes intervals of predictions; a column alone has no model to be trained."""
    plain = re.compile(r"\b(?:percentile_interval|(?<![\w.])interval)\(")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "fusion").rglob("*.py"))
        if plain.search(path.read_text(encoding="utf-8"))
        and path.parts[-2] != "metrics"
        and path.parts[-2] != "survival"
    }
    assert found == {"fusion/evidence/reference_model.py", "fusion/report/numbers.py"}


@pytest.mark.parametrize(("interval", "expected"), [("pooled", POOLING), ("fold-averaged", {})])
def test_what_pooling_costs_is_that_of_the_table_of_results(
    interval: str, expected: dict[int, float]
) -> None:
    cells = pd.read_csv(ROOT / "benchmarks" / "intervals" / "results.csv")
    cells = cells.query(
        "pipeline == 'logistic' and columns == 15 and folds == 5 and cluster_size == 1 "
        "and question == 'arm'"
    )
    cells = cells[cells["interval"] == f"{interval}, widened"]
    bias = cells.groupby("n")["bias"].mean()
    for n, lower in expected.items():
        assert -bias[n] == pytest.approx(lower, abs=6e-4)
        spread = cells.loc[cells["n"] == n, "sd"].mean()
        assert -bias[n] / spread == pytest.approx(0.1, abs=0.03), "about a tenth of its error"
    if not expected:
        assert bias.abs().max() < 1e-3


def test_each_kind_is_described_once() -> None:
    found = interval_facts(Estimate(0.7, 0.6, 0.8, m) for m in ("percentile", "repeats", "repeats"))
    assert [facts.method for facts in found] == ["repeats", "percentile"]
    assert all(facts.text.endswith(".") for facts in KINDS.values())
