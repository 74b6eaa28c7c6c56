"""What the report of times to an event has beside what reports of all kinds have."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pandas as pd

from fusion.evaluation import TimeLadder
from fusion.evidence.survival.follow_up import FollowUp
from fusion.evidence.survival.hazards import ProportionalScore
from fusion.evidence.survival.risk_groups import RiskGroups
from fusion.evidence.types import Difference, Evidence
from fusion.metrics import Estimate
from fusion.metrics.curves import Curve
from fusion.metrics.survival import RiskBins


@dataclasses.dataclass(frozen=True)
class SurvivalArm:
    """Everything about one arm; see `fusion.evidence.types.Arm` for the first eight.

    Attributes:
        tie_width: Smallest gap in concordance to the baseline that the spread over folds allows to
            call a difference (Nadeau & Bengio 2003); NaN for the baseline and with too few folds.
        auc: AUC over time; None where follow-up supports none.
        calibration: By supported horizon, in days, observed over predicted risk.
        decision: By supported horizon net benefit over the threshold probability.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    n: int
    events: int
    metrics: dict[str, Estimate]
    differences: dict[str, Difference]
    tie_width: float
    auc: Curve | None
    calibration: dict[float, RiskBins]
    decision: dict[float, Curve]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurvivalEvidence(Evidence):
    """All numbers of a report on times to an event.

    Attributes:
        arms: As in `Evidence`.
        follow_up: How long the patients were followed.
        per_fold: One row an arm, repeat and fold; `scoring.PER_FOLD_COLUMNS` and metrics.
        risk_groups: What became of the patients in the baseline's risk groups.
        treat_all: By supported horizon net benefit of treating everyone.
        proportional: Of the baseline's score; None where it cannot be tested.
        time_ladder: What the result is made of; None where no predictor became known after time
            zero.
    """

    endpoint: ClassVar[str] = "time_to_event"
    arms: tuple[SurvivalArm, ...]
    follow_up: FollowUp
    per_fold: pd.DataFrame
    risk_groups: RiskGroups
    treat_all: dict[float, Curve]
    proportional: ProportionalScore | None = None
    time_ladder: TimeLadder | None = None

    @property
    def horizons(self) -> tuple[float, ...]:
        """Days of the horizons that follow-up supports."""
        return tuple(h.days for h in self.follow_up.horizons if not h.beyond)

    @property
    def competing(self) -> bool:
        """Whether an event competes."""
        return self.follow_up.competing > 0
