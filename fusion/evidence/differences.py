"""Arms against each other, paired: to the baseline, and all modalities to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.evidence.aligned import AlignedPredictions, ArmPredictions
from fusion.evidence.scoring import ArmScores
from fusion.evidence.types import DIFFERENCES, Difference, Gain
from fusion.metrics import corrected_half_width, holm, p_value


def differences(
    arms: Sequence[ArmPredictions], scores: Mapping[str, ArmScores], baseline: str
) -> dict[str, dict[str, Difference]]:
    """Each other arm minus the baseline; Holm adjusts over the arms of a metric, without floors.

    Args:
        arms: Arms of the ablation table.
        scores: Their scores.
        baseline: Name of the arm that is subtracted.

    Returns:
        By name of the arm and by metric (`DIFFERENCES`); empty for the baseline.
    """
    found: dict[str, dict[str, Difference]] = {arm.arm: {} for arm in arms}
    tested = [arm for arm in arms if arm.arm != baseline]
    family = [arm.arm for arm in tested if arm.kind != "floor"]
    for metric in DIFFERENCES:
        against = scores[baseline].metrics[metric]
        own = {arm.arm: scores[arm.arm].metrics[metric] for arm in tested}
        p = {name: p_value(sample.difference_draws(against)) for name, sample in own.items()}
        adjusted = dict(zip(family, holm([p[name] for name in family]), strict=True))
        for name, sample in own.items():
            found[name][metric] = Difference(sample.minus(against), p[name], adjusted.get(name))
    return found


def fusion_gains(aligned: AlignedPredictions, scores: Mapping[str, ArmScores]) -> tuple[Gain, ...]:
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
                names = fused.model, single.modalities[0], single.arm, fused.arm
                gains.append(Gain(*names, area.minus(other), p))
    return tuple(gains)


def tie_widths(
    aligned: AlignedPredictions, per_fold: pd.DataFrame, baseline: str
) -> dict[str, float]:
    """Gap in AUROC to the baseline below which an arm ties with it, by the spread over folds.

    Half the width of the interval of the mean difference over the outer folds of all repeats
    (Nadeau & Bengio 2003).

    Args:
        aligned: Predictions of all arms.
        per_fold: AUROC of each arm and fold (`scoring.score_folds`).
        baseline: Name of the arm.

    Returns:
        By name of the arm; NaN for the baseline itself and with too few folds.
    """
    areas = per_fold.pivot(index=["repeat", "fold"], columns="arm", values="auroc")
    sizes = per_fold.loc[per_fold["arm"] == baseline, "n"]
    test_share = float(sizes.mean() / (len(aligned.y) - sizes.mean())) if len(sizes) > 1 else np.nan
    return {
        arm.arm: float("nan")
        if arm.arm == baseline
        else corrected_half_width((areas[arm.arm] - areas[baseline]).to_numpy(), test_share)
        for arm in aligned.arms
    }
