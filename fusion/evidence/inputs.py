"""What evidence is collected from, beside the predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from featurestore.cohort import Cohort
from fusion.audit.base import AuditReport
from fusion.config import AblationConfig
from fusion.evaluation import Ladder, PatientOverlay, TimeLadder
from fusion.evidence.about import RunFacts


@dataclasses.dataclass(frozen=True)
class ReportInputs:
    """Everything that `fusion.evidence.collect` needs, beside the predictions.

    Attributes:
        run: What was run.
        cohort: The cohort as it was studied.
        baseline: Name of the arm that differences are taken against (`ablation.reference`).
        draws: Bootstrap draws, shared by all arms, metrics and repeats.
        seed: Seed of the draws.
        history: Training curves; may be empty.
        encoder_history: Training curves of fine-tuned encoders; may be empty.
        audit: What the audit said; None where none was made.
        ladder: The linkage ladder; None unless rows were lent by label.
        time_ladder: The time ladder; None where no predictor became known after time zero.
        fits: Records of `choices.json`: what each fit chose and how it explains itself.
        config: The ablation: subgroups to look at, bounds of tuning.
        overlays: Grad-CAM of some patients, as `paths.overlays` keeps it; may be none.
        seconds: How long the fits of each arm took.
    """

    run: RunFacts
    cohort: Cohort
    baseline: str
    draws: int
    seed: int
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    encoder_history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    audit: AuditReport | None = None
    ladder: Ladder | None = None
    time_ladder: TimeLadder | None = None
    fits: tuple[dict[str, Any], ...] = ()
    config: AblationConfig = dataclasses.field(default_factory=AblationConfig)
    overlays: tuple[PatientOverlay, ...] = ()
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
