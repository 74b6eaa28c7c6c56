"""How data were chosen and used, in the words that reporting standards ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from featurestore.cohort.assemble import UNKNOWN_SITE
from featurestore.cohort.tables import Cohort
from featurestore.tables.dictionary import TIMES, Column
from fusion.config import AblationConfig, RunConfig
from fusion.evidence.about import AnalysisFacts
from fusion.features.fold_encoders import fine_tuned_names

MOST_NAMES = 12
"""Columns of a group that are named; the codebook names all."""


def analysis_facts(config: RunConfig, cohort: Cohort) -> AnalysisFacts:
    """Says how a run chooses and uses data.

    Args:
        config: The configuration.
        cohort: The cohort as it is studied.
    """
    return AnalysisFacts(
        sources=", ".join(dict.fromkeys(source.kind for source in config.cohort.sources)),
        sites=int(cohort.patients["site"].replace(UNKNOWN_SITE, None).nunique()),
        eligibility=_eligibility(config, cohort),
        predictors=_predictors(config, cohort),
        withheld=_named([column for column in cohort.dictionary if column.leaks]),
        measured=_measured(cohort.dictionary.features()),
        split=_split(config),
        building=_building(config),
        imbalance=_imbalance(config.ablation),
    )


def _eligibility(config: RunConfig, cohort: Cohort) -> str:
    rules = [f"known {cohort.outcome.name}"]
    if cohort.outcome.among:
        rules.append(cohort.outcome.among)
    if config.cohort.require_images:
        rules.append("at least one image that can be embedded")
    return "; ".join(rules)


def _predictors(config: RunConfig, cohort: Cohort) -> str:
    groups: dict[str, list[Column]] = {}
    for column in cohort.dictionary.features():
        groups.setdefault(column.group, []).append(column)
    parts = [f"{group} ({len(own)}: {_named(own)})" for group, own in groups.items()]
    if not cohort.images.empty:
        backbones = [backbone.name for backbone in config.extract.backbones]
        backbones += fine_tuned_names(config.finetune)
        parts.insert(0, f"image embeddings ({', '.join(backbones)})")
    return "; ".join(parts)


def _named(columns: Iterable[Column]) -> str:
    names = [column.name for column in columns]
    rest = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _measured(columns: Iterable[Column]) -> str:
    counts: Counter[str] = Counter(column.measured for column in columns)
    shown = [(time, counts[time]) for time in (*TIMES[1:], TIMES[0]) if counts[time]]
    words = {"unknown": "at a time that is not stated"}
    return ", ".join(f"{n} {words.get(time, f'at {time}')}" for time, n in shown)


def _split(config: RunConfig) -> str:
    folds = config.folds
    times = "" if folds.repeats == 1 else f", repeated {folds.repeats} times with other shuffles"
    return (
        f"{folds.n_folds} outer folds, stratified by the outcome{times}; patients and all that "
        "share a copied image with them stay together"
    )


def _building(config: RunConfig) -> str:
    ablation = config.ablation
    sentences = [
        f"Tuned models choose among {ablation.tuning.trials} trials by Optuna, or along a fixed "
        f"grid, on {ablation.tuning.inner_folds} inner folds.",
    ]
    if "fusion_head" in {*ablation.models, *(arm.model for arm in ablation.arms)}:
        several = f" are averages of {ablation.head.ensemble} that" * (ablation.head.ensemble > 1)
        sentences.append(
            f"Fusion heads{several} stop early on {ablation.head.validation_fraction:.0%} of the "
            "training patients."
        )
    if config.finetune is not None:
        whom = (
            "the training patients of each outer fold"
            if config.finetune.external is None
            else "patients of another cohort"
        )
        names = ", ".join(fine_tuned_names(config.finetune))
        sentences.append(f"Encoders {names} are fine-tuned on {whom}.")
    return " ".join(sentences)


def _imbalance(ablation: AblationConfig) -> str:
    if ablation.head.weighted_sampling:
        return (
            "Fusion heads draw events and non-events equally often, which harms calibration (van "
            "den Goorbergh et al. 2022); all other models see the classes as they are."
        )
    return "None: models see the classes as they are."
