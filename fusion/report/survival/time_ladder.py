"""The time ladder as tables: for reports, for a terminal, and for machines."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd
from rich.table import Table
from rich.text import Text

from featurestore.errors import name_some
from fusion.evaluation import TimeLadder
from fusion.evidence.spans import span
from fusion.report.numbers import NOTHING, with_interval
from fusion.report.tables import TextTable

NAMED = 8


def rungs(ladder: TimeLadder | None) -> TextTable:
    """Every rung with its concordances."""
    if ladder is None:
        return TextTable("", (), ())
    names = seen(ladder)
    rows = tuple(
        (
            rung.name,
            str(rung.n),
            str(rung.events),
            until(rung.until),
            *(with_interval(rung.concordance.get(name)) for name in names),
        )
        for rung in ladder.rungs
    )
    return TextTable(
        f"{about(ladder)} {how(ladder)}",
        ("rung", "n", "events", "C up to", *(f"C, {name}" for name in names)),
        rows,
    )


def gains(ladder: TimeLadder | None) -> TextTable:
    """What each rung is, and what fusion adds on it."""
    if ladder is None:
        return TextTable("", (), ())
    *single, both = seen(ladder)
    rows = tuple(
        (
            rung.title,
            rung.takes_away,
            *(with_interval(rung.gains.get(name), sign=True) for name in single),
        )
        for rung in ladder.rungs
    )
    return TextTable(
        "What each rung is and takes away from the one above it, and what fusion adds on it.",
        ("rung", "takes away", *(f"{both} over {name}" for name in single)),
        rows,
        text_columns=2,
    )


def left_out(ladder: TimeLadder | None) -> TextTable:
    """Who is not on a rung, and which rungs could not be climbed."""
    found = () if ladder is None else tuple(_said(ladder))
    return TextTable(
        "Who is not on a rung. The day of a specimen is never guessed.",
        ("rung", "why", "patients"),
        found,
        text_columns=2,
    )


def _said(ladder: TimeLadder) -> Iterator[tuple[str, str, str]]:
    for rung in ladder.rungs:
        for reason, count in rung.left_out.items():
            yield rung.title, reason, str(count)
        if rung.at_once:
            yield (
                rung.title,
                "on it, with an event before it that counts at once",
                str(rung.at_once),
            )
        if rung.why_not:
            yield rung.title, f"not climbed: {rung.why_not}", str(rung.n)


def seen(ladder: TimeLadder) -> tuple[str, ...]:
    """What models see, in order; the last sees all."""
    named = [rung.concordance for rung in ladder.rungs if rung.concordance]
    return tuple(named[0]) if named else (ladder.predictors.late_name,)


def about(ladder: TimeLadder) -> str:
    """What is predicted of what, in a sentence or two."""
    p = ladder.predictors
    late = [*p.embeddings, *p.late]
    early = [*p.early_embeddings, *p.early]
    known = f"{name_some(early, NAMED)} at time zero" if early else "nothing at time zero"
    unsaid = f" Of {len(p.unsaid)} of the former nobody says when." if p.unsaid else ""
    day = f"on the day in {p.day}" if p.day else "on a day that is not recorded"
    median = "" if math.isnan(ladder.median_day) else f", {span(ladder.median_day)} later in median"
    return (
        f"{ladder.outcome}; time zero: {ladder.time_zero}. Known were {known}, and "
        f"{name_some(late, NAMED)} {day}{median}.{unsaid}"
    )


def how(ladder: TimeLadder) -> str:
    """How the numbers were made."""
    return (
        "One Cox regression with a ridge penalty on every rung, on principal components fitted "
        f"inside training parts; a patient is in the same of {ladder.folds} folds on every rung "
        f"(repeats: {ladder.repeats}). C is Uno's, of pairs of patients of one fold, of events up "
        "to the time that is given, counted from the rung's own time zero; intervals are of a "
        "bootstrap of patients, widened for training. A gain is paired, without adjustment for "
        "the number of rungs."
    )


def until(days: float) -> str:
    """Where C is cut off."""
    return NOTHING if math.isnan(days) else span(days)


def terminal(ladder: TimeLadder) -> list[Table]:
    """Concordances, then gains, in 100 columns."""
    names = seen(ladder)
    first = _grid("time ladder", ["n", "events", "C up to", *(f"{n} [95 % CI]" for n in names)])
    for rung in ladder.rungs:
        cells = [rung.name, str(rung.n), str(rung.events), until(rung.until)]
        cells += [with_interval(rung.concordance.get(name)) for name in names]
        first.add_row(*map(Text, cells))
    shown = [first]
    if len(names) > 1:
        second = _grid("gain of fusion", [f"over {name} [95 % CI]" for name in names[:-1]])
        for rung in ladder.rungs:
            gains = [with_interval(rung.gains.get(name), sign=True) for name in names[:-1]]
            second.add_row(*map(Text, [rung.name, *gains]))
        shown.append(second)
    missing = left_out(ladder)
    if missing.rows:
        third = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
        third.add_column("not on a rung", no_wrap=True)
        third.add_column("", justify="right", no_wrap=True)
        third.add_column("why", overflow="fold")
        by_title = {rung.title: rung.name for rung in ladder.rungs}
        for title, why, count in missing.rows:
            third.add_row(*map(Text, [by_title[title], count, why]))
        shown.append(third)
    return shown


def tidy(ladder: TimeLadder) -> pd.DataFrame:
    """One row a rung and number, unrounded, for `time_ladder.csv`."""
    rows = []
    for rung in ladder.rungs:
        shared = {
            "rung": rung.name,
            "title": rung.title,
            "n": rung.n,
            "events": rung.events,
            "events_at_once": rung.at_once,
            "left_out": "; ".join(f"{why}: {n}" for why, n in rung.left_out.items()),
            "not_climbed": rung.why_not,
            "until_days": rung.until,
        }
        kinds = {"uno_c": rung.concordance, "fusion_gain_over": rung.gains}
        found = [(kind, name, e) for kind, some in kinds.items() for name, e in some.items()]
        rows += [
            shared
            | {
                "metric": kind,
                "modality": name,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "interval": e.method,
            }
            for kind, name, e in found
        ] or [shared | {"metric": "uno_c"}]
    return pd.DataFrame(rows)


def _grid(title: str, headings: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column(title, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
