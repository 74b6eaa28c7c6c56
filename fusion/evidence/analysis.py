"""How data were chosen and parted, as reporting standards ask."""

from __future__ import annotations

from collections.abc import Iterator

from featurestore.cohort import UNKNOWN_SITE, Cohort, roles_by_embedding
from fusion.arms import find_modalities
from fusion.config import RunConfig
from fusion.evidence.about import AnalysisFacts, Years

YEAR_UNITS = ("year", "calendar year")
"""Units of columns that hold a year of the calendar."""


def analysis_facts(config: RunConfig, cohort: Cohort) -> AnalysisFacts:
    """Says how a run chooses and parts data.

    Args:
        config: The configuration.
        cohort: The cohort as it is studied.
    """
    embeddings = config.embedding_names(not cohort.pictures.empty)
    roles = roles_by_embedding(embeddings, cohort.images, cohort.features)
    return AnalysisFacts(
        sources=tuple(dict.fromkeys(source.kind for source in config.cohort.sources)),
        sites=int(cohort.patients["site"].replace(UNKNOWN_SITE, None).nunique()),
        years=tuple(_years(cohort)),
        eligibility=tuple(_eligibility(config, cohort)),
        unread=len(cohort.unmapped),
        n_folds=config.folds.n_folds,
        repeats=config.folds.repeats,
        modalities=find_modalities(config.ablation, embeddings, cohort.dictionary, roles),
    )


def _eligibility(config: RunConfig, cohort: Cohort) -> Iterator[str]:
    yield f"known {cohort.outcome.name}"
    if cohort.outcome.among:
        yield cohort.outcome.among
    if config.cohort.require_images:
        yield "at least one image that can be embedded"


def _years(cohort: Cohort) -> Iterator[Years]:
    for column in cohort.dictionary:
        known = cohort.patients[column.name].dropna()
        if column.kind == "numeric" and column.unit.casefold() in YEAR_UNITS and len(known):
            first, last = int(known.min()), int(known.max())
            yield Years(column.label or column.name, first, last, len(known))
