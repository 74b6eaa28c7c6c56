"""Collects every number of a report from the predictions table; reports only render it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from featurestore.cohort.availability import availability
from featurestore.cohort.table_one import table_one
from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError, name_some
from fusion.audit.base import AuditReport
from fusion.config import AblationConfig
from fusion.evaluation.ladder import Ladder
from fusion.evaluation.overlays import Overlay
from fusion.evidence.aligned import FLOORS, AlignedPredictions, ArmPredictions, align
from fusion.evidence.designs import group_losses, learning_curve
from fusion.evidence.findings import Bootstrapped, find_problems
from fusion.evidence.importances import block_importances, top_inputs
from fusion.evidence.matched import matched
from fusion.evidence.scoring import (
    PER_FOLD_COLUMNS,
    RATES,
    THRESHOLDS,
    ArmScores,
    delong_estimate,
    score_arms,
    score_folds,
)
from fusion.evidence.subgroups import subgroups
from fusion.evidence.tuning import tuning_evidence
from fusion.evidence.types import (
    TABLE1_COLUMNS,
    AnalysisFacts,
    ArmEvidence,
    CalibrationBins,
    Curve,
    Difference,
    Estimate,
    Evidence,
    Finding,
    FlowStep,
    Gain,
    RunFacts,
)
from fusion.metrics.bootstrap import corrected_half_width, holm, p_value
from fusion.metrics.curves import calibration_curve
from fusion.models.calibration import calibration_text
from fusion.models.thresholds import rule_text

__all__ = [
    "PER_FOLD_COLUMNS",
    "TABLE1_COLUMNS",
    "AnalysisFacts",
    "ArmEvidence",
    "CalibrationBins",
    "Curve",
    "Difference",
    "Estimate",
    "Evidence",
    "Finding",
    "FlowStep",
    "Gain",
    "RunFacts",
    "collect",
]

OF_A_PATIENT = r"^patient .+? left out: "
"""Beginning of reasons that name a patient, which a report does not."""


def collect(
    predictions: pd.DataFrame,
    run: RunFacts,
    cohort: Cohort,
    groups: Mapping[str, str] | None,
    reference: str,
    history: pd.DataFrame,
    draws: int,
    seed: int,
    floors: frozenset[str] = FLOORS,
    encoder_history: pd.DataFrame | None = None,
    audit: AuditReport | None = None,
    ladder: Ladder | None = None,
    fits: Sequence[Mapping[str, Any]] = (),
    config: AblationConfig | None = None,
    overlays: Sequence[Overlay] = (),
) -> Evidence:
    """Collects the evidence of a run.

    Args:
        predictions: The predictions table; row order means nothing.
        run: What was run.
        cohort: The cohort as it was studied.
        groups: Group of each patient; the bootstrap draws whole groups. None: patients.
        reference: Name of the arm that differences are taken against.
        history: Training curves; may be empty.
        draws: Bootstrap draws, shared by all arms, metrics and repeats.
        seed: Seed of the draws.
        floors: Names of the models that are floors.
        encoder_history: Training curves of fine-tuned encoders.
        audit: What the audit said.
        ladder: The linkage ladder.
        fits: Records of `choices.json`: what each fit chose and how it explains itself.
        config: Subgroups to look at, and the bounds of tuning.
        overlays: Grad-CAM of some patients.

    Raises:
        DataError: The predictions are not of this cohort, not of one run, of different patients
            for different arms, or lack the reference arm; or a patient has no group.
    """
    aligned = align(predictions, reference, floors)
    _check_cohort(aligned, cohort)
    threshold = _net_benefit_threshold(aligned.y)
    clusters = _clusters(aligned, groups)
    scores = score_arms(aligned, clusters, threshold, draws, seed)
    config = config or AblationConfig()
    arms = _arms(aligned, scores, reference)
    gains = _gains(aligned, scores)
    per_fold = score_folds(aligned)
    undefined = np.isnan(scores[reference].metrics["auroc"].draws)
    bootstrapped = Bootstrapped(draws, int(undefined.sum()))
    return Evidence(
        run=run,
        findings=find_problems(run, cohort, groups, arms, gains, bootstrapped, audit),
        flow=_flow(cohort),
        table1=table_one(cohort),
        arms=arms,
        reference=reference,
        per_fold=per_fold,
        history=history,
        net_benefit_threshold=threshold,
        bootstrap_draws=draws,
        tie_width=_tie_width(aligned, per_fold, reference),
        fusion_gain=gains,
        encoder_history=pd.DataFrame() if encoder_history is None else encoder_history,
        audit=audit,
        ladder=ladder,
        group_losses=group_losses(aligned, scores),
        learning_curve=learning_curve(aligned, scores),
        subgroups=subgroups(cohort, aligned, reference, clusters, draws, seed, config.subgroups),
        matched=matched(cohort, aligned, draws, seed),
        importances=block_importances(fits),
        inputs=top_inputs(fits),
        tuning=tuning_evidence(fits, config.tuning.space),
        threshold_rule=rule_text(config.threshold),
        calibration=calibration_text(fits),
        availability=availability(cohort),
        overlays=tuple(overlays),
    )


def _check_cohort(aligned: AlignedPredictions, cohort: Cohort) -> None:
    outcome = cohort.patients.set_index("patient_id")["outcome"]
    unknown = [p for p in aligned.patient_ids if p not in outcome.index]
    if unknown:
        raise DataError(f"predictions of patients that the cohort lacks: {name_some(unknown)}")
    other = outcome.loc[aligned.patient_ids].to_numpy(dtype=float) != aligned.y
    if other.any():
        raise DataError(
            "predictions were made for other outcomes than the cohort's: "
            f"{name_some(list(aligned.patient_ids[other]))}"
        )


def _clusters(aligned: AlignedPredictions, groups: Mapping[str, str] | None) -> np.ndarray:
    if groups is None:
        return aligned.patient_ids
    missing = [p for p in aligned.patient_ids if p not in groups]
    if missing:
        raise DataError(f"patients without a fold group: {name_some(missing)}")
    return np.array([groups[p] for p in aligned.patient_ids], dtype=object)


def _net_benefit_threshold(y: np.ndarray) -> float:
    """The prevalence, where treating all and treating nobody are worth the same."""
    return float(np.clip(y.mean(), 0.01, 0.99))


def _arms(
    aligned: AlignedPredictions, scores: Mapping[str, ArmScores], reference: str
) -> tuple[ArmEvidence, ...]:
    shown = [a for a in aligned.arms if a.kind != "design"]
    tested = {
        metric: _differences(shown, scores, reference, metric)
        for metric in ("auroc", "auprc", "brier")
    }
    auroc = tested.pop("auroc")
    return tuple(
        ArmEvidence(
            arm=arm.arm,
            model=arm.model,
            modalities=arm.modalities,
            kind=arm.kind,
            n=len(aligned.y),
            events=int(aligned.y.sum()),
            metrics={name: scores[arm.arm].estimate(name) for name in scores[arm.arm].metrics},
            threshold=_threshold_text(arm),
            delta_auroc=auroc[arm.arm].estimate if arm.arm in auroc else None,
            p=auroc[arm.arm].p if arm.arm in auroc else None,
            p_holm=auroc[arm.arm].p_holm if arm.arm in auroc else None,
            delong=delong_estimate(aligned.y, arm),
            roc=_from_origin(scores[arm.arm].roc.curve(RATES)),
            pr=scores[arm.arm].pr.curve(RATES),
            calibration=calibration_curve(aligned.y, arm.repeats[0].probability),
            decision=scores[arm.arm].decision.curve(THRESHOLDS),
            differences={m: found[arm.arm] for m, found in tested.items() if arm.arm in found},
        )
        for arm in shown
    )


def _differences(
    arms: Sequence[ArmPredictions],
    scores: Mapping[str, ArmScores],
    reference: str,
    metric: str,
) -> dict[str, Difference]:
    """Each other arm minus the reference arm; Holm leaves floors out."""
    against = scores[reference].metrics[metric]
    tested = [a for a in arms if a.arm != reference]
    p = {a.arm: p_value(scores[a.arm].metrics[metric].difference_draws(against)) for a in tested}
    family = [a.arm for a in tested if a.kind != "floor"]
    adjusted = dict(zip(family, holm([p[name] for name in family]), strict=True))
    return {
        a.arm: Difference(
            scores[a.arm].metrics[metric].minus(against), p[a.arm], adjusted.get(a.arm)
        )
        for a in tested
    }


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


def _gains(aligned: AlignedPredictions, scores: Mapping[str, ArmScores]) -> tuple[Gain, ...]:
    """Each model on all modalities minus the same model on one of them."""
    arms = [a for a in aligned.arms if a.kind == "arm"]
    everything = {m for a in arms for m in a.modalities}
    gains = []
    for fused in arms:
        if len(everything) < 2 or set(fused.modalities) != everything:
            continue
        area = scores[fused.arm].metrics["auroc"]
        for single in arms:
            if single.model == fused.model and len(single.modalities) == 1:
                other = scores[single.arm].metrics["auroc"]
                p = p_value(area.difference_draws(other))
                gains.append(Gain(single.arm, fused.arm, area.minus(other), p))
    return tuple(gains)


def _tie_width(aligned: AlignedPredictions, per_fold: pd.DataFrame, reference: str) -> float:
    """Median over the arms of the half width of the difference to the reference over folds."""
    areas = per_fold.pivot(index=["repeat", "fold"], columns="arm", values="auroc")
    sizes = per_fold.loc[per_fold["arm"] == reference, "n"]
    test_share = float(sizes.mean() / (len(aligned.y) - sizes.mean())) if len(sizes) > 1 else np.nan
    others = [a.arm for a in aligned.arms if a.kind == "arm" and a.arm != reference]
    widths = [
        corrected_half_width((areas[name] - areas[reference]).to_numpy(), test_share)
        for name in others
    ]
    known = [w for w in widths if np.isfinite(w)]
    return float(np.median(known)) if known else float("nan")


def _flow(cohort: Cohort) -> tuple[FlowStep, ...]:
    reasons = cohort.exclusions["reason"].astype("str")
    nameless = reasons.str.replace(OF_A_PATIENT, "its patient left out: ", regex=True)
    left_out = cohort.exclusions.assign(reason=nameless)
    steps = left_out.groupby(["entity", "stage", "reason"], sort=True).size()
    return tuple(
        FlowStep(str(entity), str(stage), str(reason), int(n))
        for entity, stage, reason, n in steps.reset_index().itertuples(index=False, name=None)
    )
