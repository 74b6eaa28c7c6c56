"""Collects every number of a report on times to an event."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from featurestore.cohort import groups_of, patient_groups
from featurestore.cohort.availability import availability
from featurestore.cohort.table_one import table_one
from featurestore.outcomes import ENTRY, TIME
from fusion.endpoints import find_endpoint
from fusion.evidence.cohorts import flow, require_outcomes
from fusion.evidence.designs import group_losses, learning_curve
from fusion.evidence.differences import differences, fusion_gains
from fusion.evidence.importances import block_importances, top_inputs
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.intervals import interval_facts
from fusion.evidence.leaderboard import leaderboard
from fusion.evidence.pairs import all_pairs
from fusion.evidence.reference_model import reference_model
from fusion.evidence.survival.curves import auc_curves, calibration_bins, decision_curve, treat_all
from fusion.evidence.survival.findings import find_problems
from fusion.evidence.survival.follow_up import describe_follow_up
from fusion.evidence.survival.hazards import proportional_score
from fusion.evidence.survival.measures import INTEGRATED_BRIER, at, measures
from fusion.evidence.survival.predictions import AlignedTimes, align_times
from fusion.evidence.survival.reference_model import by_concordance
from fusion.evidence.survival.risk_groups import risk_groups
from fusion.evidence.survival.scoring import ArmScores, score_arms, score_folds
from fusion.evidence.survival.subgroups import subgroups
from fusion.evidence.survival.support import Support, find_support
from fusion.evidence.survival.types import SurvivalArm, SurvivalEvidence
from fusion.evidence.tuning import tuning_evidence
from fusion.evidence.used import used
from fusion.evidence.verdict import Measurements, find_verdict
from fusion.metrics import corrected_half_width, draw_weights
from fusion.metrics.curves import Curve
from fusion.models import calibration_text

ENDPOINT = find_endpoint("time_to_event")
HEADLINE = ENDPOINT.headline
BY_FOLD = (HEADLINE, "harrell_c")
"""Metrics that stand in the table of folds."""


def collect_times(inputs: ReportInputs, predictions: pd.DataFrame) -> SurvivalEvidence:
    """Collects the evidence of a run.

    Args:
        inputs: What was run, on which cohort, and what else its report is made from.
        predictions: The predictions table; row order means nothing.

    Raises:
        DataError: As `fusion.evidence.collect`, or follow-up supports no metric.
    """
    cohort, baseline, draws, seed = inputs.cohort, inputs.baseline, inputs.draws, inputs.seed
    aligned = align_times(predictions, baseline)
    times = aligned.times
    known = {"outcome": times.event, TIME: times.time, ENTRY: times.entry}
    require_outcomes(cohort, aligned.patient_ids, known)
    support = find_support(aligned)
    groups = patient_groups(cohort.patients, cohort.images)
    clusters = groups_of(aligned.patient_ids, groups)
    asked = measures(aligned, support)
    scores = score_arms(aligned, asked, clusters, draws, seed)
    per_fold = score_folds(aligned, [m for m in asked if m.name in BY_FOLD])
    weights = draw_weights(clusters, draws, seed)
    stretch = scores[baseline].metrics[HEADLINE].stretch
    auc = auc_curves(aligned, support, baseline, weights, stretch)
    arms = _arms(aligned, support, scores, per_fold, auc, baseline)
    gains = fusion_gains(aligned.arms, scores, HEADLINE)
    verdict = find_verdict(
        Measurements(
            inputs.run,
            inputs.audit,
            arms,
            baseline,
            HEADLINE,
            int((times.event == 1).sum()),
            (at("calibration_intercept", support.until), at("calibration_slope", support.until)),
            lambda one, other: (
                scores[one].metrics[HEADLINE].against(scores[other].metrics[HEADLINE])
            ),
            lambda best: _tie_widths(per_fold, best, len(times)),
        )
    )
    followed = describe_follow_up(times, aligned.horizons, support)
    proportional = proportional_score(times, aligned[baseline])
    judge = by_concordance(cohort)
    clinical = reference_model(cohort, inputs.fits, groups, draws, seed, judge)
    looked_at = [measure for measure in asked if measure.name in _among_parts(support)]
    parts = subgroups(
        cohort, aligned, baseline, looked_at, clusters, weights, inputs.config.subgroups
    )
    return SurvivalEvidence(
        run=inputs.run,
        findings=find_problems(inputs, groups, arms, gains, followed, proportional, clinical),
        flow=flow(cohort),
        table1=table_one(cohort),
        arms=arms,
        baseline=baseline,
        verdict=verdict,
        history=inputs.history,
        bootstrap_draws=draws,
        fusion_gain=gains,
        encoder_history=inputs.encoder_history,
        audit=inputs.audit,
        importances=block_importances(inputs.fits),
        inputs=top_inputs(inputs.fits),
        tuning=tuning_evidence(inputs.fits, inputs.config.tuning.space),
        calibration=calibration_text(inputs.fits),
        intervals=interval_facts(scores[arm.arm].estimate(HEADLINE) for arm in aligned.arms),
        availability=availability(cohort),
        overlays=inputs.overlays,
        used=used(inputs.run, cohort, aligned.arms, inputs.fits),
        group_losses=group_losses(aligned.arms, scores, HEADLINE),
        learning_curve=learning_curve(aligned.arms, scores, HEADLINE, INTEGRATED_BRIER),
        subgroups=parts,
        reference_model=clinical,
        config=inputs.config,
        seconds=inputs.seconds,
        follow_up=followed,
        per_fold=per_fold,
        risk_groups=risk_groups(times, aligned[baseline], support, weights, stretch),
        treat_all={days: treat_all(times, days) for days in support.horizons.values()},
        proportional=proportional,
        time_ladder=inputs.time_ladder,
        pairs=all_pairs(arms, scores, HEADLINE),
    )


def _among_parts(support: Support) -> set[str]:
    """Metrics of subgroups: discrimination, and at the last horizon error and calibration."""
    at_last = [at(name, support.until) for name in ("brier", "observed_over_expected")]
    return {HEADLINE, *(at_last if support.horizons else ())}


def _arms(
    aligned: AlignedTimes,
    support: Support,
    scores: Mapping[str, ArmScores],
    per_fold: pd.DataFrame,
    auc: Mapping[str, Curve],
    baseline: str,
) -> tuple[SurvivalArm, ...]:
    shown = [a for a in aligned.arms if a.kind != "design"]
    have = [name for name in ENDPOINT.tested if name in scores[baseline].metrics]
    tested = differences(shown, scores, baseline, have)
    ties = _tie_widths(per_fold, baseline, len(aligned.times))
    made = (
        SurvivalArm(
            arm=arm.arm,
            model=arm.model,
            modalities=arm.modalities,
            kind=arm.kind,
            n=len(aligned.times),
            events=int((aligned.times.event == 1).sum()),
            metrics={name: scores[arm.arm].estimate(name) for name in scores[arm.arm].metrics},
            differences=tested[arm.arm],
            tie_width=ties.get(arm.arm, float("nan")),
            auc=auc.get(arm.arm),
            calibration={
                days: calibration_bins(aligned.times, arm, place, days)
                for place, days in support.horizons.items()
            },
            decision={
                days: decision_curve(aligned.times, arm, place, days)
                for place, days in support.horizons.items()
            },
        )
        for arm in shown
    )
    return leaderboard(tuple(made), HEADLINE)


def _tie_widths(per_fold: pd.DataFrame, baseline: str, patients: int) -> dict[str, float]:
    """As `differences.tie_widths`, of the headline."""
    values = per_fold.pivot(index=["repeat", "fold"], columns="arm", values=HEADLINE)
    tested = float(per_fold.loc[per_fold["arm"] == baseline, "n"].mean())
    share = tested / (patients - tested) if patients > tested else float("nan")
    return {
        str(arm): corrected_half_width((values[arm] - values[baseline]).to_numpy(), share)
        for arm in values.columns
        if arm != baseline
    }
