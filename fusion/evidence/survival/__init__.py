"""Evidence of times to an event: metrics under censoring, follow-up, risk groups."""

from __future__ import annotations

from fusion.evidence.survival.collect import collect_times
from fusion.evidence.survival.follow_up import AtHorizon, FollowUp
from fusion.evidence.survival.hazards import ProportionalScore
from fusion.evidence.survival.measures import at
from fusion.evidence.survival.risk_groups import RiskGroup, RiskGroups
from fusion.evidence.survival.types import SurvivalArm, SurvivalEvidence

__all__ = [
    "AtHorizon",
    "FollowUp",
    "ProportionalScore",
    "RiskGroup",
    "RiskGroups",
    "SurvivalArm",
    "SurvivalEvidence",
    "at",
    "collect_times",
]
