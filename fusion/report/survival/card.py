"""Sections of the model card that are of times to an event."""

from __future__ import annotations

from collections.abc import Callable

from fusion.evidence.spans import span
from fusion.evidence.survival import SurvivalArm, SurvivalEvidence, at
from fusion.report.model_card import (
    CardSection,
    about_model,
    between_subgroups,
    data,
    ethics,
    intended_use,
    limitations,
    version_list,
)
from fusion.report.numbers import with_interval
from fusion.report.survival import tables, words
from fusion.report.tables import TextTable


def chosen_arm(e: SurvivalEvidence) -> SurvivalArm:
    """The arm that the run is about: the one that differences are taken against."""
    return next(a for a in e.arms if a.arm == e.baseline)


def output(e: SurvivalEvidence) -> str:
    """What a model says of a patient."""
    horizons = " and ".join(span(h.days) for h in e.follow_up.horizons)
    groups = len(e.risk_groups.groups)
    cut = f", and one of {groups} risk groups, cut on inner data" if groups > 1 else ""
    return f"A log hazard ratio, the risk of the event by {horizons}{cut}."


def _model(e: SurvivalEvidence) -> CardSection:
    said = output(e)
    return about_model(e, said[0].lower() + said[1:])


def _outcome(e: SurvivalEvidence) -> CardSection:
    return CardSection(
        "Outcome",
        (
            f"{e.run.outcome_name}: {e.run.outcome_definition}",
            f"{words.patients(e)}; predictors as of {e.run.as_of}.",
            *e.run.caveats,
        ),
    )


def _performance(e: SurvivalEvidence) -> CardSection:
    shown = [a for a in e.arms if a.arm == e.baseline or a.kind != "arm"]
    best = words.best(e)
    return CardSection(
        "Performance",
        (
            "Out-of-fold, on patients that no fit had seen; no cohort of another time or place. "
            f"Supported up to {span(e.follow_up.last)} of follow-up.",
            *([f"No predictor can be expected to exceed a C of {best[1]}."] if best else []),
            *between_subgroups(e, tables.HEADLINE, "C"),
        ),
        TextTable(
            f"The model beside reference models and floors; 95 % intervals from "
            f"{e.bootstrap_draws:,} bootstrap draws of patients. {tables.headline(e)}",
            (
                "model",
                "n",
                "events",
                "C [95 % CI]",
                *(f"Brier, {span(days)} [95 % CI]" for days in e.horizons),
            ),
            tuple(
                (
                    arm.arm,
                    str(arm.n),
                    str(arm.events),
                    with_interval(tables.found(arm, tables.HEADLINE)),
                    *(with_interval(tables.found(arm, at("brier", days))) for days in e.horizons),
                )
                for arm in shown
            ),
        ),
    )


def calibration_sentences(e: SurvivalEvidence) -> list[str]:
    """Calibration of the baseline, a sentence a horizon."""
    arm = chosen_arm(e)
    return [
        f"At {span(days)}: observed over predicted risk "
        f"{with_interval(tables.found(arm, at('observed_over_expected', days)), 2)}, intercept "
        f"{with_interval(tables.found(arm, at('calibration_intercept', days)), 2)}, slope "
        f"{with_interval(tables.found(arm, at('calibration_slope', days)), 2)} (ideal 1, 0 and 1)."
        for days in e.horizons
    ]


def _calibration(e: SurvivalEvidence) -> CardSection:
    none = "Follow-up supports no horizon at which risks could be judged."
    return CardSection("Calibration", tuple(calibration_sentences(e)) or (none,))


CARD: tuple[Callable[[SurvivalEvidence], CardSection], ...] = (
    _model,
    intended_use,
    data,
    _outcome,
    _performance,
    _calibration,
    limitations,
    ethics,
    version_list,
)
"""Sections of the card."""
