"""Named outcomes: what is predicted, for whom, as of when, and which columns give it away.

A new outcome is one `Outcome` and one line in `OUTCOMES`.
"""

from __future__ import annotations

from featurestore.errors import DataError
from featurestore.outcomes import isic, lesion_classes, synthetic, tcga, tcga_times
from featurestore.outcomes.base import ExpressionRule, NamedTexts, Outcome, Rule, Unit, ValueRule
from featurestore.outcomes.durations import DAYS_IN, TimeUnit, duration_words, parse_duration
from featurestore.outcomes.target import (
    COMPETING,
    ENDS,
    ENTRY,
    EVENT,
    OUTCOME_COLUMNS,
    TARGETS,
    TIME,
    Target,
)
from featurestore.outcomes.times import TimesRule, within

__all__ = [
    "COMPETING",
    "DAYS_IN",
    "ENDS",
    "ENTRY",
    "EVENT",
    "OUTCOMES",
    "OUTCOME_COLUMNS",
    "TARGETS",
    "TIME",
    "ExpressionRule",
    "NamedTexts",
    "Outcome",
    "Rule",
    "Target",
    "TimeUnit",
    "TimesRule",
    "Unit",
    "ValueRule",
    "duration_words",
    "find_outcome",
    "parse_duration",
    "within",
]

OUTCOMES: dict[str, Outcome] = {
    outcome.name: outcome
    for outcome in (
        isic.MELANOMA,
        isic.MALIGNANT,
        isic.MELANOMA_METASTASIS,
        *lesion_classes.LESION_OUTCOMES,
        tcga.SPECIMEN_METASTATIC,
        tcga.M1_AT_DIAGNOSIS,
        tcga.NODE_POSITIVE,
        tcga.STAGE_IV,
        tcga.DISTANT_METASTASIS,
        tcga.DISTANT_METASTASIS_PRIMARY_ONLY,
        tcga_times.OVERALL_SURVIVAL,
        tcga_times.DISEASE_SPECIFIC_SURVIVAL,
        tcga_times.PROGRESSION_FREE_SURVIVAL,
        tcga_times.DISTANT_METASTASIS_FREE_SURVIVAL,
        synthetic.SYNTHETIC_METASTASIS,
        synthetic.SYNTHETIC_METASTASIS_FREE_SURVIVAL,
        synthetic.SYNTHETIC_SURVIVAL,
    )
}


def find_outcome(name: str) -> Outcome:
    """Looks a registered outcome up.

    Raises:
        DataError: No outcome has this name.
    """
    try:
        return OUTCOMES[name]
    except KeyError:
        raise DataError(
            f"unknown outcome {name!r}; known: {', '.join(sorted(OUTCOMES))} "
            f"(or define one with a column and its positive values, or an expression)"
        ) from None
