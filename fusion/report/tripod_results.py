"""What a run can say to TRIPOD+AI about open science, results and their discussion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from featurestore.tables import OUTCOME_STAGE
from featurestore.units import counted
from fusion.evidence import BinaryEvidence, Evidence
from fusion.report import sentences
from fusion.report.intervals import kind_name, pooled_beside_folds
from fusion.report.numbers import number, with_interval
from fusion.report.tripod_answers import (
    AUTHOR,
    FILLED,
    NOT_APPLICABLE,
    Answer,
    chosen_arm,
    partly,
)


def ethics(e: Evidence) -> Answer:
    """Item 17."""
    if e.run.synthetic and e.run.linkage != "label_matched":
        return Answer(NOT_APPLICABLE, "The data are synthetic: no person is in them.")
    return Answer(AUTHOR, "Name the ethics committee, and consent or its waiver.")


def data_sharing(e: Evidence) -> Answer:
    """Item 18e."""
    return partly(
        f"licences: {'; '.join(e.run.licences) or 'none stated'}; digest of the cohort "
        f"{e.run.cohort_digest[:12]}; `melafuse export` writes tables with a codebook",
        "where the data can be had",
    )


def code_sharing(e: Evidence) -> Answer:
    """Item 18f."""
    version = e.run.versions.get("melafuse", "not known")
    return partly(
        f"melafuse {version}; the configuration is config.yaml of the run", "where code is shared"
    )


def flow(e: Evidence) -> Answer:
    """Item 20a."""
    left = sum(step.n for step in sentences.left_out(e))
    unknown = sentences.by_outcome(e)
    count = sum(s.n for s in sentences.left_out(e) if s.stage == OUTCOME_STAGE)
    reasons = f", {count:,} of them because their outcome is not known: {unknown}" * bool(count)
    return partly(
        f"{e.run.counted.text} studied, {e.run.n_events:,} with and "
        f"{e.run.n_patients - e.run.n_events:,} without the outcome; {left:,} {e.noun.many} "
        f"left out{reasons}",
        "follow-up time, where the outcome has one",
    )


def characteristics(e: Evidence) -> Answer:
    """Item 20b."""
    return partly("Table 1, by outcome, with missing values", "key dates and treatments")


def participants_of_analyses(e: BinaryEvidence) -> Answer:
    """Item 21."""
    sizes = e.per_fold.loc[e.per_fold["arm"] == e.baseline, ["n", "events"]]
    low, high = sizes.min(), sizes.max()
    return Answer(
        FILLED,
        f"Every arm: {e.noun.counted(chosen_arm(e).n)}, {counted(chosen_arm(e).events, 'event')}. "
        "Each "
        f"outer fold tests {low['n']} to {high['n']} {e.noun.many} with {low['events']} to "
        f"{high['events']} events and trains, tunes and chooses on the others.",
    )


def specification(e: Evidence) -> Answer:
    """Item 22."""
    return partly(
        "cross-validated models are not kept as one model; config.yaml, the seed and the digests "
        f"of data{' and encoders' if e.run.encoders else ''} determine them, and `melafuse fit` "
        "makes a bundle of an arm fitted on everyone",
        "where the final model can be had, and under which terms",
    )


def performance(e: BinaryEvidence) -> Answer:
    """Item 23a."""
    m = chosen_arm(e).metrics
    return Answer(
        FILLED,
        f"{e.baseline}: AUROC {pooled_beside_folds(chosen_arm(e))} (interval: "
        f"{kind_name(m['auroc'], e.run.counted.drawn)}), AUPRC {with_interval(m['auprc'])}, "
        f"Brier {with_interval(m['brier'])}, calibration slope "
        f"{with_interval(m['calibration_slope'], 2)}; all arms in the ablation table"
        f"{', subgroups in theirs' if e.subgroups else ''}.",
    )


def heterogeneity_results(e: BinaryEvidence) -> Answer:
    """Item 23b."""
    return over_sites(e, e.per_fold, "auroc", "AUROC")


def over_sites(e: Evidence, per_fold: pd.DataFrame, metric: str, called: str) -> Answer:
    """Item 23b by the headline metric, which people call something."""
    values = per_fold.loc[per_fold["arm"] == e.baseline, metric].dropna()
    span = f"{number(values.min())} to {number(values.max())}" if len(values) else "not defined"
    folds = f"{called} of {e.baseline} over outer folds: {span}."
    sites = sorted(group.metrics[metric].value for group in sentences.site_subgroups(e))
    if len(sites) < 2:
        return Answer(FILLED, f"{folds} Too few source sites are large enough to be compared.")
    return Answer(
        FILLED,
        f"{called} of {e.baseline} over {len(sites)} source sites that are large enough: "
        f"{number(sites[0])} to {number(sites[-1])} (intervals under Subgroups). {folds}",
    )


def interpretation(e: Evidence) -> Answer:
    """Item 25."""
    return partly(
        "ΔAUROC to the baseline with interval and Holm's p in the ablation table"
        + (
            f"; {len(e.fusion_gain)} comparisons of all modalities with one"
            if e.fusion_gain
            else ""
        ),
        "what this means beside earlier studies",
    )


def limitations(e: Evidence) -> Answer:
    """Item 26."""
    grave = [f.text for f in e.findings if f.level != "note"]
    return partly(
        f"{len(grave)} findings stand under Warnings{': ' if grave else ''}{' '.join(grave[:3])}",
        "what they do to bias, uncertainty and generalisability",
    )


ANSWERS: dict[str, Callable[[Any], Answer]] = {
    "17": ethics,
    "18e": data_sharing,
    "18f": code_sharing,
    "20a": flow,
    "20b": characteristics,
    "21": participants_of_analyses,
    "22": specification,
    "23a": performance,
    "23b": heterogeneity_results,
    "25": interpretation,
    "26": limitations,
}
"""Items that the run answers, wholly or in part."""
