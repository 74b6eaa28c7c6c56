"""How numbers are read in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from fusion.evidence import Estimate, Evidence, Gain
from fusion.report.markdown_text import table_lines
from fusion.report.tables import flow, verdict


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "said"),
    [
        (0.01, 0.2, 0.03, "fusion adds"),
        (0.01, 0.2, 0.38, "fusion adds, only before Holm"),
        (-0.2, -0.01, 0.01, "fusion harms"),
        (-0.2, -0.01, 0.2, "fusion harms, only before Holm"),
        (-0.1, 0.2, 0.9, "no measurable gain"),
        (float("nan"), float("nan"), float("nan"), "—"),
    ],
)
def test_a_gain_is_one_among_all_that_were_looked_for(
    low: float, high: float, p_holm: float, said: str
) -> None:
    assert verdict(Gain("m", "a", "m[a]", "m[all]", Estimate(0.1, low, high), 0.04, p_holm)) == said


def test_a_flow_in_which_all_came_along_says_so() -> None:
    cohort_without_losses = SimpleNamespace(flow=())
    table = flow(cast(Evidence, cohort_without_losses))
    assert table_lines(table) == ["Nothing was left out."]
