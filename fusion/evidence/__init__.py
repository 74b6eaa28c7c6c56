"""From the predictions table to every number of a report, once.

`run_facts` says what was run, `collect` computes, `save_inputs` and `finished_run` keep what else a
report is made from in the folder of a run.
"""

from __future__ import annotations

from fusion.evidence.about import AnalysisFacts, EncoderFacts, RunFacts
from fusion.evidence.aligned import align
from fusion.evidence.facts import run_facts
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.kept import kept_or_collected
from fusion.evidence.kinds import collect
from fusion.evidence.same_folds import share_folds
from fusion.evidence.saved import (
    FinishedRun,
    finished_run,
    load_own_config,
    made_of,
    read_cohort_tables,
    read_table,
    save_inputs,
)
from fusion.evidence.scoring import score_arms
from fusion.evidence.types import (
    Arm,
    ArmEvidence,
    BinaryEvidence,
    Difference,
    Evidence,
    Finding,
    FlowStep,
    Gain,
)
from fusion.evidence.verdict import Verdict
from fusion.metrics import Estimate

__all__ = [
    "AnalysisFacts",
    "Arm",
    "ArmEvidence",
    "BinaryEvidence",
    "Difference",
    "EncoderFacts",
    "Estimate",
    "Evidence",
    "Finding",
    "FinishedRun",
    "FlowStep",
    "Gain",
    "ReportInputs",
    "RunFacts",
    "Verdict",
    "align",
    "collect",
    "finished_run",
    "kept_or_collected",
    "load_own_config",
    "made_of",
    "read_cohort_tables",
    "read_table",
    "run_facts",
    "save_inputs",
    "score_arms",
    "share_folds",
]
