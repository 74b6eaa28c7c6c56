"""What the designs beside the ablation show: the cost of a group, and of fewer patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from fusion.evaluation.designs import left_out, training_share
from fusion.evidence.aligned import ArmLike
from fusion.evidence.scoring import Scored
from fusion.metrics import Estimate, holm


@dataclasses.dataclass(frozen=True)
class GroupLoss:
    """What a model loses without one group of columns or one backbone.

    Attributes:
        model: Name of the model.
        group: What it was refitted without.
        without: The headline metric (`Endpoint.headline`) without the group.
        loss: On everything minus without the group, paired; above 0 the group helps.
        p: Two-sided p of the loss.
        p_holm: The same, adjusted by Holm over all groups and models.
    """

    model: str
    group: str
    without: Estimate
    loss: Estimate
    p: float
    p_holm: float


@dataclasses.dataclass(frozen=True)
class LearningPoint:
    """How a model does when it is fitted on a share of the training patients.

    Attributes:
        model: Name of the model.
        share: Of the outer training patients; 1 for all of them.
        headline: The headline metric (`Endpoint.headline`) on the same test patients for every
            share.
        error: Brier score on the same, over time where there is time.
    """

    model: str
    share: float
    headline: Estimate
    error: Estimate | None


def group_losses(
    arms: Sequence[ArmLike], scores: Mapping[str, Scored], headline: str
) -> tuple[GroupLoss, ...]:
    """Leave-one-group-out, the largest loss in the headline metric first within a model."""
    found = []
    for arm in arms:
        group = left_out(arm.design)
        whole = _whole(arms, arm)
        if group is None or whole is None:
            continue
        without, everything = (scores[a.arm].metrics[headline] for a in (arm, whole))
        loss = everything.against(without)
        found.append((arm.model, group, without.estimate, loss.estimate, loss.p))
    adjusted = holm([p for *_, p in found])
    losses = [GroupLoss(*loss, held) for loss, held in zip(found, adjusted, strict=True)]
    return tuple(sorted(losses, key=lambda g: (g.model, -g.loss.value, g.group)))


def learning_curve(
    arms: Sequence[ArmLike], scores: Mapping[str, Scored], headline: str, error: str
) -> tuple[LearningPoint, ...]:
    """Points by model and share, the whole training part last."""
    found: dict[tuple[str, float], str] = {}
    for arm in arms:
        share = training_share(arm.design)
        whole = _whole(arms, arm)
        if share is not None and whole is not None:
            found[arm.model, share] = arm.arm
            found[arm.model, 1.0] = whole.arm
    points = []
    for (model, share), name in sorted(found.items()):
        own = scores[name].metrics
        wrong = own[error].estimate if error in own else None
        points.append(LearningPoint(model, share, own[headline].estimate, wrong))
    return tuple(points)


def _whole(arms: Sequence[ArmLike], of: ArmLike) -> ArmLike | None:
    """The arm of the same model that sees most, on all training patients."""
    same = [a for a in arms if a.kind != "design" and a.model == of.model]
    if not same:
        return None
    return same[int(np.argmax([len(a.modalities) for a in same]))]
