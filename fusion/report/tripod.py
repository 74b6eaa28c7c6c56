"""TRIPOD+AI: what the run itself can answer, and what only its authors can.

Items and their numbers are those of Collins et al., TRIPOD+AI statement, BMJ 2024;385:e078378
(doi:10.1136/bmj-2023-078378), in our own short words; the statement itself is what counts.
"""

from __future__ import annotations

import csv
import dataclasses
from importlib.resources import files
from typing import get_args

import pandas as pd

from fusion.evidence import Evidence
from fusion.report import tripod_answers, tripod_results
from fusion.report.kinds import rendering
from fusion.report.tables import TextTable
from fusion.report.tripod_answers import Answer, Status

CITATION = (
    "TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), 27 items with 52 parts, named in short "
    "words here; the statement itself is what counts."
)


ANSWERS = tripod_answers.ANSWERS | tripod_results.ANSWERS
"""Items that a run with outcomes that are there or not answers, wholly or in part."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One part of the checklist: a line of `tripod_items.csv`.

    Attributes:
        item: As the statement numbers it.
        section: Section of a paper.
        about: What it asks for, in short.
        concerns: Development (D), evaluation (E) or both.
        status: Who fills it; `computed` where the run decides (`kinds.Rendering.answers`).
        text: What stands there whatever the run; empty where it is computed.
    """

    item: str
    section: str
    about: str
    concerns: str
    status: str
    text: str

    def answer(self, evidence: Evidence) -> Answer:
        """What the run can say."""
        for status in get_args(Status):
            if self.status == status:
                return Answer(status, self.text)
        return rendering(evidence).answers[self.item](evidence)


def _items() -> tuple[Item, ...]:
    text = (files("fusion.report") / "tripod_items.csv").read_text(encoding="utf-8")
    return tuple(Item(**row) for row in csv.DictReader(text.splitlines()))


ITEMS = _items()
"""All parts in the order of the statement."""


def tripod(evidence: Evidence) -> TextTable:
    """The checklist, filled as far as the run can."""
    return TextTable(
        CITATION,
        ("item", "section", "about", "concerns", "status", "text"),
        tuple(
            (item.item, item.section, item.about, item.concerns, answer.status, answer.text)
            for item, answer in _answered(evidence)
        ),
        text_columns=6,
    )


def tripod_summary(evidence: Evidence) -> str:
    """One sentence: how many parts are answered, and how many wait for their author."""
    found = [answer.status for _, answer in _answered(evidence)]
    return ", ".join(f"{found.count(status)} {status}" for status in get_args(Status)) + "."


def _answered(evidence: Evidence) -> list[tuple[Item, Answer]]:
    return [(item, item.answer(evidence)) for item in ITEMS]


def tidy_tripod(evidence: Evidence) -> pd.DataFrame:
    """One row a part, for `tripod.csv`."""
    table = tripod(evidence)
    return pd.DataFrame(table.rows, columns=list(table.columns))
