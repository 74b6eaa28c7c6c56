"""What each kind of endpoint adds to a report: one package a kind, one line here to register it."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fusion.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from fusion.report.drawing import Figure
    from fusion.report.latex import Paper
    from fusion.report.model_card import CardSection
    from fusion.report.shared_sections import Section
    from fusion.report.tables import TextTable
    from fusion.report.tripod_answers import Answer


@dataclasses.dataclass(frozen=True)
class Compared:
    """A metric that stands in a comparison of runs.

    Attributes:
        name: Its name among the metrics of an arm.
        heading: Its name for people.
        on_page: Whether its interval is printed on the page.
        in_terminal: Whether its interval is printed in a terminal.
    """

    name: str
    heading: str
    on_page: bool
    in_terminal: bool


@dataclasses.dataclass(frozen=True)
class Rendering:
    """How evidence of one kind is rendered; every function takes evidence of that kind.

    Attributes:
        template: Template of the page, beside `fusion.report.page`.
        values: What the template shows beside what all kinds have.
        figures: Figures that there are data for.
        ladder: Rungs of the linkage ladder; without rows where there is none.
        chapters: Headings and tables of the Markdown report before its sections.
        sections: Sections behind them.
        patients: Who was studied and what became of them, for the header.
        summary: The same in a few words, for a terminal.
        best: What no predictor can be expected to beat, as name and value; None where that is not
            known.
        methods: How the numbers were made, a sentence each.
        record: Everything but curves, for `run.json`.
        tidy: Tables for machines by file name, `metrics.csv` among them.
        paper: The table for papers.
        card: Sections of the model card.
        answers: Answers to items of TRIPOD+AI.
        tables: Tables for a terminal.
        interval_note: Which intervals they have.
        asked: What the page can be asked beside pairs and subgroups (`fusion.report.explore`).
        compared: Metrics by which runs are compared, the one that is drawn first.
    """

    template: str
    values: Callable[[Any], dict[str, Any]]
    figures: Callable[[Any], list[Figure]]
    ladder: Callable[[Any], TextTable]
    chapters: Callable[[Any], list[tuple[str, list[TextTable]]]]
    sections: Callable[[Any], list[Section]]
    patients: Callable[[Any], str]
    summary: Callable[[Any], str]
    best: Callable[[Any], tuple[str, str] | None]
    methods: Callable[[Any], list[str]]
    record: Callable[[Any], dict[str, Any]]
    tidy: Callable[[Any], dict[str, pd.DataFrame]]
    paper: Callable[[Any], Paper]
    card: tuple[Callable[[Any], CardSection], ...]
    answers: Mapping[str, Callable[[Any], Answer]]
    tables: Callable[[Any], list[Table]]
    interval_note: Callable[[Any], str]
    asked: Callable[[Any], dict[str, Any]]
    compared: Callable[[Sequence[Any]], tuple[Compared, ...]]


RENDERINGS: Mapping[str, str] = {
    "binary": "fusion.report.binary:BINARY",
    "time_to_event": "fusion.report.survival:TIMES",
}
"""By kind of the endpoint where its `Rendering` can be imported from, so that a report loads what
it needs, and what is shared knows no kind."""


def rendering(evidence: Evidence) -> Rendering:
    """How this evidence is rendered."""
    found: Rendering = pkgutil.resolve_name(RENDERINGS[evidence.endpoint])
    return found
