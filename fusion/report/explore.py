"""What the page answers without a server: looked up in numbers that are there, never computed.

Everything is text, ready to be shown. It holds counts of groups only, no patient and no id: pairs
of arms, thresholds without small counts (`fusion.evidence.operating`), subgroups as the report
prints them, and numbers at horizons.
"""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from fusion.evidence import Evidence
from fusion.evidence.operating import LEAST, Operating
from fusion.evidence.pairs import Pair
from fusion.report.kinds import rendering
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.shared_sections import Section
from fusion.report.tables import SIGNIFICANT, TextTable


def explore(evidence: Evidence, sections: list[Section]) -> dict[str, Any]:
    """Everything that can be asked, as text.

    Args:
        evidence: The evidence.
        sections: Sections of the report; the one of subgroups is looked up by its levels.
    """
    metric = rendering(evidence).compared([evidence])[0].heading
    found = rendering(evidence).asked(evidence)
    return {
        "arms": {arm.arm: list(arm.modalities) for arm in evidence.arms},
        "reference": evidence.baseline,
        "pair": _first_pair(evidence),
        "metric": metric,
        "pairs": {f"{p.first}\n{p.second}": _pair(p, metric) for p in evidence.pairs},
        "subgroups": _levels(next((s for s in sections if s.anchor == "subgroups"), None)),
        "thresholds": {},
        "horizons": {},
        "note": "",
        **found,
    }


def embedded(found: dict[str, Any]) -> Markup:
    """The same as JSON that no text in it can end."""
    text = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def thresholds(points: tuple[Operating, ...]) -> list[list[list[str]]]:
    """What deciding at each threshold brings, as names and values."""
    return [
        [
            ["threshold", number(o.threshold, 2)],
            ["sensitivity", with_interval(o.sensitivity)],
            ["specificity", with_interval(o.specificity)],
            ["net benefit", with_interval(o.net_benefit)],
            ["treated, with the outcome", f"{o.true_positive:,.0f}"],
            ["treated, without it", f"{o.false_positive:,.0f}"],
            ["not treated, with the outcome", f"{o.false_negative:,.0f}"],
            ["not treated, without it", f"{o.true_negative:,.0f}"],
        ]
        for o in points
    ]


def by_column(table: TextTable, column: int) -> dict[str, dict[str, list[list[str]]]]:
    """Rows of a table by a column, then by arm, as names and values."""
    found: dict[str, dict[str, list[list[str]]]] = {}
    for row in table.rows:
        values = [
            [name, cell]
            for k, (name, cell) in enumerate(zip(table.columns, row, strict=True))
            if k not in (0, column)
        ]
        found.setdefault(row[column], {}).setdefault(row[0], []).extend(values)
    return found


THRESHOLDS_NOTE = (
    f"Thresholds stand where every count, and every step to the next threshold, is 0 or at least "
    f"{LEAST} of each outcome. Counts are means over repeats."
)


def _first_pair(evidence: Evidence) -> list[str]:
    """Two arms to begin with: the best, and the first of those that it is measured against."""
    best, fusion = evidence.verdict.best, evidence.verdict.fusion
    names = [evidence.baseline, "" if fusion is None else fusion.single]
    others = [*names, *(arm.arm for arm in evidence.arms)]
    return [best, next((name for name in others if name and name != best), best)]


def _pair(pair: Pair, metric: str) -> list[list[str]]:
    rows = [
        [f"\N{GREEK CAPITAL LETTER DELTA}{metric}", with_interval(pair.delta, sign=True)],
        ["p", p_value(pair.p)],
    ]
    if pair.p_holm is not None:
        rows.append(["p Holm, over all pairs", p_value(pair.p_holm)])
    return [*rows, ["reading", _reading(pair)]]


def _reading(pair: Pair) -> str:
    if p_value(pair.p) == NOTHING:
        return "not known"
    if not pair.delta.excludes(0.0):
        return "no measurable difference"
    better = pair.first if pair.delta.low > 0 else pair.second
    sure = pair.p_holm is None or pair.p_holm < SIGNIFICANT
    return f"{better} is better" + ("" if sure else "; not after adjusting for all pairs")


def _levels(section: Section | None) -> dict[str, list[list[str]]]:
    if section is None:
        return {}
    table = section.tables[0]
    return {
        f"{row[0]}: {row[1]}": [
            [name, cell] for name, cell in zip(table.columns[2:], row[2:], strict=True)
        ]
        for row in table.rows
    }
