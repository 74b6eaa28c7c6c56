"""Every arm minus every other, paired under the draws that all intervals share."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from fusion.evidence.aligned import NamedArm
from fusion.evidence.scoring import Scored
from fusion.metrics import Estimate, holm


@dataclasses.dataclass(frozen=True)
class Pair:
    """The headline metric of one arm minus that of another.

    Attributes:
        first: The arm that stands first in the leaderboard.
        second: The other one.
        delta: The first minus the second.
        p: Two-sided p.
        p_holm: The same, adjusted by Holm over all pairs without floors, because whoever looks up
            a pair may look up all; None for a pair with a floor.
    """

    first: str
    second: str
    delta: Estimate
    p: float
    p_holm: float | None


def all_pairs(
    arms: Sequence[NamedArm], scores: Mapping[str, Scored], metric: str
) -> tuple[Pair, ...]:
    """Tests every pair.

    Args:
        arms: Arms of the ablation table, in their order.
        scores: Their scores.
        metric: Name of the metric.
    """
    couples = list(itertools.combinations(arms, 2))
    tests = [
        scores[one.arm].metrics[metric].against(scores[other.arm].metrics[metric])
        for one, other in couples
    ]
    real = [k for k, couple in enumerate(couples) if all(arm.kind != "floor" for arm in couple)]
    adjusted = dict(zip(real, holm([tests[k].p for k in real]), strict=True))
    return tuple(
        Pair(one.arm, other.arm, test.estimate, test.p, adjusted.get(k))
        for k, ((one, other), test) in enumerate(zip(couples, tests, strict=True))
    )
