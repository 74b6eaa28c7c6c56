"""Times to events of TCGA-SKCM, over the canonical columns (`featurestore.tables.vocabulary`).

They follow the TCGA Pan-Cancer Clinical Data Resource (Liu et al. 2018, Cell 173:400); what is
derived from which table is said in `featurestore.sources.survival`.
"""

from __future__ import annotations

from featurestore.outcomes.base import ExpressionRule, Outcome, ValueRule
from featurestore.outcomes.durations import DAYS_IN
from featurestore.outcomes.times import TimesRule

_HORIZONS = (2 * DAYS_IN["years"], 5 * DAYS_IN["years"])
_TIME_ZERO = "first pathologic diagnosis"
_LATE_SPECIMENS = (
    "Time is counted from diagnosis, but most patients were sampled at a metastasis, a median of "
    "713 days later, and could only enter the study then: whoever died before is not in it. With "
    "entry: days_to_specimen nobody is at risk before the specimen was taken, and what it "
    "shows may predict."
)
_WITH_TUMOUR = (
    "The cause of death is not recorded: a death with tumour counts as one of the disease, a death "
    "free of tumour as another (TCGA-CDR), and where the state of the tumour is not known the "
    "patient is left out."
)

OVERALL_SURVIVAL = Outcome(
    name="overall_survival",
    definition="Days from diagnosis to death of any cause; alive at last contact is censored.",
    unit="patient",
    as_of="diagnosis",
    rule=TimesRule(ValueRule("os_event"), "os_days", "os_days"),
    caveats=(_LATE_SPECIMENS,),
    as_of_time="diagnosis",
    kind="time_to_event",
    horizons=_HORIZONS,
    time_zero=_TIME_ZERO,
)

DISEASE_SPECIFIC_SURVIVAL = Outcome(
    name="disease_specific_survival",
    definition=(
        "Days from diagnosis to death with tumour; death free of tumour is a competing event, "
        "alive at last contact is censored."
    ),
    unit="patient",
    as_of="diagnosis",
    rule=TimesRule(
        ValueRule("dss_event"),
        "dss_days",
        "dss_days",
        competing=ExpressionRule("os_event == 1 and dss_event == 0"),
    ),
    caveats=(_WITH_TUMOUR, _LATE_SPECIMENS),
    as_of_time="diagnosis",
    kind="time_to_event",
    horizons=_HORIZONS,
    time_zero=_TIME_ZERO,
)

PROGRESSION_FREE_SURVIVAL = Outcome(
    name="progression_free_survival",
    definition=(
        "Days from diagnosis to the first new tumour event of any kind (local, regional, distant, "
        "or a new primary) or death with tumour; death free of tumour is a competing event, and "
        "free of progression at last contact is censored (the progression-free interval of "
        "TCGA-CDR)."
    ),
    unit="patient",
    as_of="diagnosis",
    rule=TimesRule(
        ValueRule("pfi_event"),
        "pfi_days",
        "pfi_days",
        competing=ExpressionRule("os_event == 1 and pfi_event == 0"),
    ),
    caveats=(
        "A new primary melanoma counts as progression, as in TCGA-CDR.",
        "The specimen is often the new tumour event itself: with time from diagnosis many events "
        "lie before the specimen.",
        _LATE_SPECIMENS,
    ),
    as_of_time="diagnosis",
    kind="time_to_event",
    horizons=_HORIZONS,
    time_zero=_TIME_ZERO,
)

DISTANT_METASTASIS_FREE_SURVIVAL = Outcome(
    name="distant_metastasis_free_survival",
    definition=(
        "Days from diagnosis to the first distant metastasis among the new tumour events; death "
        "without one is a competing event, and free of it at last contact is censored."
    ),
    unit="patient",
    as_of="diagnosis",
    rule=TimesRule(
        ValueRule("distant_metastasis"),
        "days_to_distant_metastasis",
        "os_days",
        competing=ExpressionRule("os_event == 1"),
    ),
    caveats=(
        "Trials count death as an event of distant-metastasis-free survival; here it competes, so "
        "that the risk is that of a metastasis.",
        "A patient whose sites listed no event and did not deny one is left out, and so is one "
        "whose distant metastasis has no day.",
        _LATE_SPECIMENS,
    ),
    as_of_time="diagnosis",
    kind="time_to_event",
    horizons=_HORIZONS,
    time_zero=_TIME_ZERO,
)
