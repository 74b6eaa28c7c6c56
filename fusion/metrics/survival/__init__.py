"""Times to an event: estimators, metrics and fits under censoring, NumPy and SciPy only.

Begin with `checked_times`. Conventions that all of it shares are in `times`, `censoring` and
`concordance`; simulated cohorts with known truth in `simulation`.
"""

from fusion.metrics.survival._risk_sets import (
    numbers_at_risk,
)
from fusion.metrics.survival.baseline import (
    Baseline,
    baseline_hazard,
    cause_specific_risk,
)
from fusion.metrics.survival.brier import (
    brier_at,
    brier_over_time,
    integrated_brier,
)
from fusion.metrics.survival.calibration import (
    RiskBins,
    calibration_intercept_at,
    calibration_slope_at,
    hazard_intercept,
    hazard_slope,
    observed_over_expected,
    risk_bins,
)
from fusion.metrics.survival.censoring import (
    FLOOR,
    MIN_AT_RISK,
    Censoring,
    by_part,
    censoring_distribution,
    last_followed_time,
    last_supported_time,
    out_of_fold,
)
from fusion.metrics.survival.concordance import (
    harrell_c,
    uno_c,
)
from fusion.metrics.survival.cox import (
    CoxFit,
    cox_ridge,
)
from fusion.metrics.survival.discrete_time import (
    Targets,
    interval_ends,
    log_likelihood,
    risk_from_hazards,
    targets,
)
from fusion.metrics.survival.dynamic_auc import (
    auc_over_time,
    dynamic_auc,
    integrated_auc,
)
from fusion.metrics.survival.grambsch_therneau import (
    ProportionalHazards,
    proportional_hazards,
)
from fusion.metrics.survival.group_tests import (
    LogRank,
    log_rank,
)
from fusion.metrics.survival.incidence import (
    cumulative_incidence,
    incidence_at,
)
from fusion.metrics.survival.kaplan_meier import (
    follow_up,
    kaplan_meier,
    nelson_aalen,
    survival_at,
)
from fusion.metrics.survival.net_benefit import (
    decision_curve_at,
    net_benefit_at,
)
from fusion.metrics.survival.observed import (
    observed_risk,
)
from fusion.metrics.survival.partial_likelihood import (
    PartialLikelihood,
)
from fusion.metrics.survival.restricted_mean import (
    Area,
    restricted_mean,
    restricted_mean_at,
    restricted_mean_difference,
)
from fusion.metrics.survival.step_curve import (
    StepCurve,
)
from fusion.metrics.survival.times import (
    CENSORED,
    EVENT,
    Times,
    checked_times,
    require_event,
)

__all__ = [
    "CENSORED",
    "EVENT",
    "FLOOR",
    "MIN_AT_RISK",
    "Area",
    "Baseline",
    "Censoring",
    "CoxFit",
    "LogRank",
    "PartialLikelihood",
    "ProportionalHazards",
    "RiskBins",
    "StepCurve",
    "Targets",
    "Times",
    "auc_over_time",
    "baseline_hazard",
    "brier_at",
    "brier_over_time",
    "by_part",
    "calibration_intercept_at",
    "calibration_slope_at",
    "cause_specific_risk",
    "censoring_distribution",
    "checked_times",
    "cox_ridge",
    "cumulative_incidence",
    "decision_curve_at",
    "dynamic_auc",
    "follow_up",
    "harrell_c",
    "hazard_intercept",
    "hazard_slope",
    "incidence_at",
    "integrated_auc",
    "integrated_brier",
    "interval_ends",
    "kaplan_meier",
    "last_followed_time",
    "last_supported_time",
    "log_likelihood",
    "log_rank",
    "nelson_aalen",
    "net_benefit_at",
    "numbers_at_risk",
    "observed_over_expected",
    "observed_risk",
    "out_of_fold",
    "proportional_hazards",
    "require_event",
    "restricted_mean",
    "restricted_mean_at",
    "restricted_mean_difference",
    "risk_bins",
    "risk_from_hazards",
    "survival_at",
    "targets",
    "uno_c",
]
