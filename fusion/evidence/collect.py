"""Collects every number of a report on outcomes that are there or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from featurestore.cohort import groups_of, patient_groups
from featurestore.cohort.availability import availability
from featurestore.cohort.table_one import table_one
from fusion.endpoints import find_endpoint
from fusion.evidence.aligned import AlignedPredictions, ArmPredictions, align
from fusion.evidence.cohorts import flow, require_outcomes
from fusion.evidence.designs import group_losses, learning_curve
from fusion.evidence.differences import differences, fusion_gains, tie_widths
from fusion.evidence.findings import Bootstrapped, find_problems
from fusion.evidence.importances import block_importances, top_inputs
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.intervals import interval_facts
from fusion.evidence.leaderboard import leaderboard
from fusion.evidence.matched import matched
from fusion.evidence.operating import operating_points
from fusion.evidence.pairs import all_pairs
from fusion.evidence.reference_model import by_auroc, reference_model
from fusion.evidence.scoring import (
    RATES,
    THRESHOLDS,
    ArmScores,
    score_arms,
    score_folds,
)
from fusion.evidence.secondary import calibration_bins, delong_estimate, explained
from fusion.evidence.sensitivity import sensitivity
from fusion.evidence.subgroups import subgroups
from fusion.evidence.tuning import tuning_evidence
from fusion.evidence.types import ArmEvidence, BinaryEvidence
from fusion.evidence.used import used
from fusion.evidence.verdict import Measurements, find_verdict
from fusion.metrics import draw_weights
from fusion.metrics.cross_validated import independent_units
from fusion.metrics.curves import Curve
from fusion.models import calibration_text, rule_text


def collect_binary(inputs: ReportInputs, predictions: pd.DataFrame) -> BinaryEvidence:
    """Collects the evidence of a run.

    Args:
        inputs: What was run, on which cohort, and what else its report is made from.
        predictions: The predictions table; row order means nothing.

    Raises:
        DataError: The predictions are not of this cohort, not of one run, of different patients
            for different arms, or lack the baseline.
    """
    cohort, baseline, draws, seed = inputs.cohort, inputs.baseline, inputs.draws, inputs.seed
    aligned = align(predictions, baseline)
    require_outcomes(cohort, aligned.patient_ids, {"outcome": aligned.y})
    threshold = _net_benefit_threshold(aligned.y)
    groups = patient_groups(cohort.patients, cohort.images)
    clusters = groups_of(aligned.patient_ids, groups)
    scores = score_arms(aligned, clusters, threshold, draws, seed)
    weights = draw_weights(clusters, draws, seed)
    per_fold = score_folds(aligned)
    tested = find_endpoint(cohort.outcome.kind).tested
    arms = _arms(aligned, scores, per_fold, baseline, tested)
    verdict = find_verdict(
        Measurements(
            inputs.run,
            inputs.audit,
            arms,
            baseline,
            "auroc",
            independent_units(aligned.y, clusters),
            ("calibration_intercept", "calibration_slope"),
            lambda one, other: scores[one].metrics["auroc"].against(scores[other].metrics["auroc"]),
            lambda best: tie_widths(aligned, per_fold, best),
        )
    )
    gains = fusion_gains(aligned.arms, scores, "auroc")
    undefined = np.isnan(scores[baseline].metrics["auroc"].draws).any(axis=0)
    bootstrapped = Bootstrapped(draws, int(undefined.sum()))
    clinical = reference_model(cohort, inputs.fits, groups, draws, seed, by_auroc(cohort))
    parts = subgroups(cohort, aligned, baseline, clusters, draws, seed, inputs.config.subgroups)
    pairs = matched(cohort, aligned, clusters, draws, seed)
    rungs = inputs.ladder.rungs if inputs.ladder else ()
    printed = [
        *(estimate for own in scores.values() for estimate in map(own.estimate, own.metrics)),
        *(estimate for part in parts for estimate in part.metrics.values()),
        *(estimate for rung in rungs for estimate in rung.metrics.values()),
        *(result.everyone for result in (pairs.results if pairs else ())),
        *(direction.discrimination for direction in (clinical.directions if clinical else ())),
    ]
    return BinaryEvidence(
        run=inputs.run,
        findings=find_problems(
            inputs.run, cohort, groups, arms, gains, bootstrapped, inputs.audit, clinical
        ),
        flow=flow(cohort),
        table1=table_one(cohort),
        arms=arms,
        baseline=baseline,
        verdict=verdict,
        per_fold=per_fold,
        history=inputs.history,
        net_benefit_threshold=threshold,
        bootstrap_draws=draws,
        fusion_gain=gains,
        encoder_history=inputs.encoder_history,
        audit=inputs.audit,
        ladder=inputs.ladder,
        group_losses=group_losses(aligned.arms, scores, "auroc"),
        learning_curve=learning_curve(aligned.arms, scores, "auroc", "brier"),
        sensitivity=sensitivity(cohort, aligned, clusters, draws, seed),
        subgroups=parts,
        reference_model=clinical,
        matched=pairs,
        importances=block_importances(inputs.fits),
        inputs=top_inputs(inputs.fits),
        tuning=tuning_evidence(inputs.fits, inputs.config.tuning.space),
        intervals=interval_facts(printed, cohort.counted.drawn),
        threshold_rule=rule_text(inputs.config.threshold),
        calibration=calibration_text(inputs.fits),
        availability=availability(cohort),
        overlays=inputs.overlays,
        used=used(inputs.run, cohort, aligned.arms, inputs.fits),
        config=inputs.config,
        seconds=inputs.seconds,
        pairs=all_pairs(arms, scores, "auroc"),
        operating={
            arm.arm: operating_points(aligned.y, aligned[arm.arm], weights, clusters)
            for arm in arms
            if arm.kind != "floor"
        },
    )


def _net_benefit_threshold(y: np.ndarray) -> float:
    """The prevalence, where treating all and treating nobody are worth the same."""
    return float(np.clip(y.mean(), 0.01, 0.99))


def _arms(
    aligned: AlignedPredictions,
    scores: Mapping[str, ArmScores],
    per_fold: pd.DataFrame,
    baseline: str,
    tested_metrics: Sequence[str],
) -> tuple[ArmEvidence, ...]:
    shown = [a for a in aligned.arms if a.kind != "design"]
    ties = tie_widths(aligned, per_fold, baseline)
    tested = differences(shown, scores, baseline, tested_metrics)
    made = (
        ArmEvidence(
            arm=arm.arm,
            model=arm.model,
            modalities=arm.modalities,
            kind=arm.kind,
            n=len(aligned.y),
            events=int(aligned.y.sum()),
            metrics={name: scores[arm.arm].estimate(name) for name in scores[arm.arm].metrics},
            threshold=_threshold_text(arm),
            differences=tested[arm.arm],
            tie_width=ties[arm.arm],
            explained=explained(aligned.y, arm),
            delong=delong_estimate(aligned.y, arm),
            roc=_from_origin(scores[arm.arm].roc.curve(RATES)),
            pr=scores[arm.arm].pr.curve(RATES),
            calibration=calibration_bins(aligned.y, arm),
            decision=scores[arm.arm].decision.curve(THRESHOLDS),
            fold_averaged=scores[arm.arm].fold_averaged,
        )
        for arm in shown
    )
    return leaderboard(tuple(made), "auroc")


def _threshold_text(arm: ArmPredictions) -> str:
    """How decisions were made: one threshold a fold, chosen on inner data."""
    chosen = [np.unique(r.threshold[r.fold == f]) for r in arm.repeats for f in np.unique(r.fold)]
    values = np.concatenate(chosen)
    span = (
        f"{values.min():.3f}"
        if np.ptp(values) == 0
        else f"{values.min():.3f} to {values.max():.3f}"
    )
    folds = "1 fold" if len(chosen) == 1 else f"{len(chosen)} folds"
    return f"probability ≥ threshold chosen on each fold's inner data ({span} over {folds})"


def _from_origin(curve: Curve) -> Curve:
    """Lets a ROC curve start in the corner also where it rises vertically."""
    x, y = np.concatenate([[0.0], curve.x]), np.concatenate([[0.0], curve.y])
    if curve.low is None or curve.high is None:
        return Curve(x, y, None, None)
    return Curve(x, y, np.concatenate([[0.0], curve.low]), np.concatenate([[0.0], curve.high]))
