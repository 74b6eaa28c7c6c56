"""Models of times to an event: a log hazard ratio, and a risk at each horizon."""

from fusion.models.survival.base import (
    BaseSurvivalModel,
    InnerScores,
    SurvivalFit,
    SurvivalModel,
    SurvivalPrediction,
)
from fusion.models.survival.risk_groups import THIRDS, cut_points, groups_of
from fusion.models.survival.risk_scale import RiskScale, fit_risk_scale

__all__ = [
    "THIRDS",
    "BaseSurvivalModel",
    "InnerScores",
    "RiskScale",
    "SurvivalFit",
    "SurvivalModel",
    "SurvivalPrediction",
    "cut_points",
    "fit_risk_scale",
    "groups_of",
]
