"""The outcome of cohorts that melafuse makes itself."""

from __future__ import annotations

from featurestore.outcomes.base import Outcome, ValueRule
from featurestore.outcomes.durations import DAYS_IN
from featurestore.outcomes.times import TimesRule

SYNTHETIC_DATA = (
    "SYNTHETIC DATA: patients, images and outcome were made by a program. "
    "No number in this report says anything about melanoma."
)
"""What every report on synthetic data says."""

SYNTHETIC_METASTASIS = Outcome(
    name="synthetic_metastasis",
    definition="Metastasis, drawn from the planted logistic model of the synthetic cohort.",
    unit="patient",
    as_of="removal of the primary",
    rule=ValueRule("metastasis"),
    as_of_time="specimen",
    caveats=(SYNTHETIC_DATA,),
)

SYNTHETIC_SURVIVAL = Outcome(
    name="synthetic_survival",
    definition=(
        "Days from diagnosis to death, drawn from a planted proportional-hazards model with a "
        "constant hazard; everyone lived until the specimen was taken."
    ),
    unit="patient",
    as_of="diagnosis",
    rule=TimesRule(ValueRule("synthetic_death"), "synthetic_survival", "synthetic_survival"),
    as_of_time="diagnosis",
    caveats=(
        SYNTHETIC_DATA,
        "Time is counted from diagnosis, and a part of the specimens was taken later "
        "(late_specimens): whoever died before is not in the cohort.",
    ),
    kind="time_to_event",
    horizons=(2 * DAYS_IN["years"], 5 * DAYS_IN["years"]),
    time_zero="diagnosis",
)

SYNTHETIC_METASTASIS_FREE_SURVIVAL = Outcome(
    name="synthetic_metastasis_free_survival",
    definition=(
        "Days from removal of the primary to metastasis, drawn from the planted proportional-"
        "hazards model of the synthetic cohort; follow-up ends at a time that depends on nothing."
    ),
    unit="patient",
    as_of="removal of the primary",
    rule=TimesRule(ValueRule("synthetic_event"), "synthetic_days", "synthetic_days"),
    as_of_time="specimen",
    caveats=(SYNTHETIC_DATA,),
    kind="time_to_event",
    horizons=(2 * DAYS_IN["years"], 5 * DAYS_IN["years"]),
    time_zero="removal of the primary",
)
