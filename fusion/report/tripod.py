"""TRIPOD+AI: what the run itself can answer, and what only its authors can.

Items and their numbers are those of Collins et al., TRIPOD+AI statement, BMJ 2024;385:e078378
(doi:10.1136/bmj-2023-078378), in our own short words; the statement itself is what counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, get_args

import pandas as pd

from fusion.evidence.collect import Evidence
from fusion.report import tripod_answers as answers
from fusion.report.tables import TextTable
from fusion.report.tripod_answers import Answer, Status

CITATION = (
    "TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), 27 items with 52 parts, named in short "
    "words here; the statement itself is what counts."
)
Part = Literal["D", "E", "D;E"]


@dataclasses.dataclass(frozen=True)
class Item:
    """One part of the checklist.

    Attributes:
        number: As the statement numbers it.
        section: Section of a paper.
        name: What it asks for, in short.
        concerns: Development (D), evaluation (E) or both.
        answer: What the run can say.
    """

    number: str
    section: str
    name: str
    concerns: Part
    answer: Callable[[Evidence], Answer]


_BY_AUTHOR = "The run cannot know this."
_NO_UPDATE = "Models are developed and internally validated here; none is updated."

ITEMS: tuple[Item, ...] = (
    Item("1", "Title", "study type, population, outcome", "D;E", answers.title),
    Item("2", "Abstract", "structured abstract", "D;E", answers.author(
        "Write it by the checklist for abstracts.")),
    Item("3a", "Introduction", "healthcare context and earlier models", "D;E", answers.author(
        _BY_AUTHOR)),
    Item("3b", "Introduction", "target population, purpose, users", "D;E", answers.author(
        _BY_AUTHOR)),
    Item("3c", "Introduction", "known health inequalities", "D;E", answers.author(_BY_AUTHOR)),
    Item("4", "Introduction", "objectives", "D;E", answers.objectives),
    Item("5a", "Methods", "sources of data and whom they represent", "D;E", answers.sources),
    Item("5b", "Methods", "dates of accrual and follow-up", "D;E", answers.author(
        "State start and end of accrual and of follow-up.")),
    Item("6a", "Methods", "setting and centres", "D;E", answers.setting),
    Item("6b", "Methods", "eligibility", "D;E", answers.eligibility),
    Item("6c", "Methods", "treatments and their handling", "D;E", answers.author(_BY_AUTHOR)),
    Item("7", "Methods", "data preparation and quality checks", "D;E", answers.preparation),
    Item("8a", "Methods", "outcome and horizon", "D;E", answers.outcome),
    Item("8b", "Methods", "who assessed the outcome", "D;E", answers.author(_BY_AUTHOR)),
    Item("8c", "Methods", "blinding of outcome assessment", "D;E", answers.author(_BY_AUTHOR)),
    Item("9a", "Methods", "choice of predictors", "D", answers.predictor_choice),
    Item("9b", "Methods", "definition of predictors", "D;E", answers.predictor_definition),
    Item("9c", "Methods", "who assessed subjective predictors", "D;E", answers.author(
        _BY_AUTHOR)),
    Item("10", "Methods", "sample size", "D;E", answers.sample_size),
    Item("11", "Methods", "missing data", "D;E", answers.missing_data),
    Item("12a", "Methods", "use and partition of the data", "D", answers.partition),
    Item("12b", "Methods", "handling of predictors", "D", answers.predictor_handling),
    Item("12c", "Methods", "models, tuning, internal validation", "D", answers.model_building),
    Item("12d", "Methods", "heterogeneity across clusters", "D;E", answers.heterogeneity),
    Item("12e", "Methods", "measures and plots", "D;E", answers.measures),
    Item("12f", "Methods", "model updating", "E", answers.not_applicable(_NO_UPDATE)),
    Item("12g", "Methods", "how predictions were calculated", "E", answers.calculation),
    Item("13", "Methods", "class imbalance", "D;E", answers.imbalance),
    Item("14", "Methods", "fairness", "D;E", answers.fairness),
    Item("15", "Methods", "model output and thresholds", "D", answers.output),
    Item("16", "Methods", "training against evaluation data", "D;E", answers.not_applicable(
        "Internal validation: both are parts of one cohort.")),
    Item("17", "Methods", "ethical approval", "D;E", answers.ethics),
    Item("18a", "Open science", "funding", "D;E", answers.author(_BY_AUTHOR)),
    Item("18b", "Open science", "conflicts of interest", "D;E", answers.author(_BY_AUTHOR)),
    Item("18c", "Open science", "protocol", "D;E", answers.author(
        "Say where it is, or that there is none.")),
    Item("18d", "Open science", "registration", "D;E", answers.author(
        "Give register and number, or say that there is none.")),
    Item("18e", "Open science", "data sharing", "D;E", answers.data_sharing),
    Item("18f", "Open science", "code sharing", "D;E", answers.code_sharing),
    Item("19", "Patients and public", "their involvement", "D;E", answers.author(
        "Describe it, or say that there was none.")),
    Item("20a", "Results", "flow of participants", "D;E", answers.flow),
    Item("20b", "Results", "characteristics of participants", "D;E", answers.characteristics),
    Item("20c", "Results", "comparison with development data", "E", answers.not_applicable(
        "Internal validation: both are parts of one cohort.")),
    Item("21", "Results", "participants and events of each analysis", "D;E",
         answers.participants_of_analyses),
    Item("22", "Results", "full model specification", "D", answers.specification),
    Item("23a", "Results", "performance with intervals", "D;E", answers.performance),
    Item("23b", "Results", "heterogeneity of performance", "D;E", answers.heterogeneity_results),
    Item("24", "Results", "results of model updating", "E", answers.not_applicable(_NO_UPDATE)),
    Item("25", "Discussion", "interpretation", "D;E", answers.interpretation),
    Item("26", "Discussion", "limitations", "D;E", answers.limitations),
    Item("27a", "Discussion", "poor or missing input in use", "D", answers.author(
        "Say how such input is to be found and handled.")),
    Item("27b", "Discussion", "expertise of users", "D", answers.author(_BY_AUTHOR)),
    Item("27c", "Discussion", "next steps of research", "D;E", answers.author(_BY_AUTHOR)),
)  # fmt: skip
"""All parts in the order of the statement."""


def tripod(evidence: Evidence) -> TextTable:
    """The checklist, filled as far as the run can."""
    return TextTable(
        CITATION,
        ("item", "section", "about", "concerns", "status", "text"),
        tuple(
            (item.number, item.section, item.name, item.concerns, answer.status, answer.text)
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
