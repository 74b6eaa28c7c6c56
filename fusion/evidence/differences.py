"""Arms against each other, paired: to the baseline, and all modalities to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.evidence.aligned import AlignedPredictions, ArmLike
from fusion.evidence.scoring import Scored
from fusion.evidence.types import Difference, Gain
from fusion.metrics import corrected_half_width, holm


def differences(
    arms: Sequence[ArmLike],
    scores: Mapping[str, Scored],
    baseline: str,
    metrics: Sequence[str],
) -> dict[str, dict[str, Difference]]:
    """Each other arm minus the baseline; Holm adjusts over the arms of a metric, without floors.

    Args:
        arms: Arms of the ablation table.
        scores: Their scores.
        baseline: Name of the arm that is subtracted.
        metrics: Names of the metrics (`Endpoint.tested`).

    Returns:
        By name of the arm and by metric; empty for the baseline.
    """
    found: dict[str, dict[str, Difference]] = {arm.arm: {} for arm in arms}
    tested = [arm for arm in arms if arm.arm != baseline]
    family = [arm.arm for arm in tested if arm.kind != "floor"]
    for metric in metrics:
        against = scores[baseline].metrics[metric]
        own = {arm.arm: scores[arm.arm].metrics[metric].against(against) for arm in tested}
        adjusted = dict(zip(family, holm([own[name].p for name in family]), strict=True))
        for name, test in own.items():
            found[name][metric] = Difference(test.estimate, test.p, adjusted.get(name))
    return found


def fusion_gains(
    predicted: Sequence[ArmLike], scores: Mapping[str, Scored], metric: str
) -> tuple[Gain, ...]:
    """Each model on all modalities minus the same model on one of them.

    Args:
        predicted: Arms with predictions.
        scores: Their scores.
        metric: Name of the metric; higher is better.
    """
    arms = [a for a in predicted if a.kind == "arm"]
    everything = {m for a in arms for m in a.modalities}
    pairs, tests = [], []
    for fused in arms:
        if len(everything) < 2 or set(fused.modalities) != everything:
            continue
        own = scores[fused.arm].metrics[metric]
        for single in arms:
            if single.model == fused.model and len(single.modalities) == 1:
                other = scores[single.arm].metrics[metric]
                pairs.append((fused.model, single.modalities[0], single.arm, fused.arm))
                tests.append(own.against(other))
    adjusted = holm([test.p for test in tests])
    return tuple(
        Gain(*names, test.estimate, test.p, held)
        for names, test, held in zip(pairs, tests, adjusted, strict=True)
    )


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
