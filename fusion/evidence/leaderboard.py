"""In which order arms stand wherever they are listed, and which of the good ones is simplest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from fusion.evidence.aligned import NamedArm
from fusion.metrics import Estimate
from fusion.models import effort_of

CHANCE = 0.5
"""Of an AUROC and of a concordance."""


class Measured(NamedArm, Protocol):
    """An arm with its numbers."""

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """Metrics by name."""
        ...


M = TypeVar("M", bound=Measured)


def leaderboard(arms: Sequence[M], headline: str) -> tuple[M, ...]:
    """Arms and references by the headline metric, the best first, then the floors alike.

    Floors compete with nobody: they say where the scale begins. Equal arms stay as they were.

    Args:
        arms: Arms of the ablation table.
        headline: Name of the metric; higher is better. Arms without it come last.
    """
    return tuple(sorted(arms, key=lambda arm: (arm.kind == "floor", -_value(arm, headline))))


def simplest_within_tie(arms: Sequence[M], headline: str, best: M, ties: Mapping[str, float]) -> M:
    """The simplest arm whose gap to the best one is a tie, as in the one-standard-error rule.

    Fewer modalities are simpler, then the model of less effort (`fusion.models.ModelKind`), then
    the better arm. An arm that does not measurably rank better than chance is no candidate.

    Args:
        arms: Arms of the ablation table; floors are passed over.
        headline: Name of the metric.
        best: The best of them; it is the answer where nothing simpler ties with it.
        ties: By arm the width below which a gap to the best one is a tie; NaN where none is known.
    """
    top = _value(best, headline)
    tied = [
        arm
        for arm in arms
        if arm.kind != "floor"
        and arm.metrics[headline].low > CHANCE
        and top - _value(arm, headline) <= ties.get(arm.arm, math.nan)
    ]
    return min(
        [best, *tied],
        key=lambda arm: (len(arm.modalities), effort_of(arm.model), -_value(arm, headline)),
    )


def _value(arm: Measured, headline: str) -> float:
    value = arm.metrics[headline].value
    return value if math.isfinite(value) else -math.inf
