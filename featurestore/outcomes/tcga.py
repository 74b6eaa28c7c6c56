"""Outcomes of TCGA-SKCM, over the canonical columns (`featurestore.tables.vocabulary`).

What reveals each outcome was measured on the public tables: docs/outcomes.md.
"""

from __future__ import annotations

import dataclasses

from featurestore.outcomes.base import Outcome, ValueRule
from featurestore.tables.vocabulary import VOCABULARY

_N_STAGES = VOCABULARY["n_stage"].column.levels
_M_STAGES = VOCABULARY["m_stage"].column.levels
_SURVIVAL = ("os_*", "dss_*", "pfi_*", "dfs_*")
_STATE_OF_TISSUE = (
    "The specimen's type is tissue state, not prognosis: most patients were sampled only at "
    "metastasis, a median of 713 days after diagnosis. This outcome does not say who will "
    "metastasise."
)
_TIME_LADDER = (
    "What of such a result hangs on when time starts, `melafuse ladder time` shows on times to "
    "death and progression of the same patients (docs/time_zero.md)."
)
_FOLLOW_UP = (
    "Follow-up differs between patients: without a recorded event a patient counts as free of "
    "it, however short the follow-up was."
)

SPECIMEN_METASTATIC = Outcome(
    name="specimen_metastatic",
    definition=(
        "The sequenced specimen is a metastasis (sample type 06 or 07), not the primary tumour "
        "(01)."
    ),
    unit="specimen",
    as_of="procurement of the specimen",
    rule=ValueRule("specimen_type", ("metastatic",), ("primary",)),
    # T is unknown or 0 where no primary was found; the site and day are those of the specimen.
    deny=("specimen_*", "days_to_specimen", "t_stage", "primary_known"),
    caveats=(_STATE_OF_TISSUE, _TIME_LADDER),
    as_of_time="specimen",
)

M1_AT_DIAGNOSIS = Outcome(
    name="m1_at_diagnosis",
    definition="Distant metastasis at diagnosis: pathologic M1, M1a, M1b, M1c or M1d (AJCC).",
    unit="patient",
    as_of="diagnosis",
    rule=ValueRule("m_stage", tuple(m for m in _M_STAGES if m != "M0"), ("M0",)),
    deny=("m_stage", "stage"),
    caveats=("Events are few; intervals are wide.",),
    as_of_time="diagnosis",
)

NODE_POSITIVE = Outcome(
    name="node_positive",
    definition="Regional nodes hold tumour at diagnosis: pathologic N1 to N3; NX is unknown.",
    unit="patient",
    as_of="diagnosis",
    rule=ValueRule("n_stage", tuple(n for n in _N_STAGES if n != "N0"), ("N0",)),
    deny=("n_stage", "stage"),
    caveats=("Whether nodes were examined depends on the primary: N is not missing at random.",),
    as_of_time="diagnosis",
)

STAGE_IV = Outcome(
    name="stage_iv",
    definition="Pathologic AJCC stage IV at diagnosis, against stages 0 to III.",
    unit="patient",
    as_of="diagnosis",
    rule=ValueRule("stage", ("IV",), ()),
    deny=("stage", "m_stage"),
    caveats=("Stage IV is M1 by definition; events are few and intervals are wide.",),
    as_of_time="diagnosis",
)

DISTANT_METASTASIS = Outcome(
    name="distant_metastasis",
    definition=(
        "A distant metastasis is recorded after diagnosis among the new tumour events or at "
        "follow-up."
    ),
    unit="patient",
    as_of="diagnosis",
    rule=ValueRule("distant_metastasis"),
    deny=("new_tumor_event", "days_to_*", "tumour_status", "vital_status", *_SURVIVAL),
    caveats=(
        _FOLLOW_UP,
        "Most specimens are metastases already: who is in the cohort depends on the outcome.",
        _TIME_LADDER,
    ),
    as_of_time="diagnosis",
    followed="os_days",
)

DISTANT_METASTASIS_PRIMARY_ONLY = dataclasses.replace(
    DISTANT_METASTASIS,
    name="distant_metastasis_primary_only",
    definition=(
        "A distant metastasis is recorded after diagnosis, among patients whose specimen is the "
        "primary tumour."
    ),
    as_of="procurement of the primary tumour",
    caveats=(_FOLLOW_UP, "Events are very few; no model can be judged on them."),
    as_of_time="specimen",
    among="specimen_type == 'primary'",
)
