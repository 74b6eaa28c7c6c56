"""The outcome of cohorts that melafuse makes itself."""

from __future__ import annotations

from featurestore.outcomes.base import Outcome, ValueRule

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
