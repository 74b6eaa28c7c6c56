"""What a report is made of: every number, and nothing that computes one.

`fusion.evidence` fills these and is where to import them from; `fusion.report` renders them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Protocol

import pandas as pd

from featurestore.units import Noun
from fusion.audit.base import AuditReport
from fusion.config import AblationConfig
from fusion.evaluation import Ladder, PatientOverlay
from fusion.evidence.about import RunFacts
from fusion.evidence.aligned import NamedArm
from fusion.evidence.designs import GroupLoss, LearningPoint
from fusion.evidence.importances import BlockImportance, InputSize
from fusion.evidence.intervals import IntervalFacts
from fusion.evidence.matched import Matched
from fusion.evidence.operating import Operating
from fusion.evidence.pairs import Pair
from fusion.evidence.reference_model import ReferenceModel
from fusion.evidence.sensitivity import Sensitivity
from fusion.evidence.subgroups import Subgroup
from fusion.evidence.tuning import TuningEvidence
from fusion.evidence.used import NOTHING_USED, Used
from fusion.evidence.verdict import Verdict
from fusion.metrics import Estimate
from fusion.metrics.curves import CalibrationBins, Curve
from fusion.models import AS_GIVEN


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of an arm minus that of the baseline, paired.

    Attributes:
        estimate: The difference with its interval.
        p: Two-sided p.
        p_holm: The same, adjusted by Holm over all arms that were tested; None for floors.
    """

    estimate: Estimate
    p: float
    p_holm: float | None


@dataclasses.dataclass(frozen=True)
class ArmEvidence:
    """Everything about one arm.

    Attributes:
        arm: Name of the arm.
        model: Name of its model.
        modalities: What the model looked at.
        kind: `arm`, `floor` (permuted labels, prevalence) or `reference` (clinical reference).
        n: Patients.
        events: Patients with the outcome.
        metrics: Value and interval by metric name, averaged over repeats.
        threshold: How decisions were made, in words.
        differences: Minus the baseline, by the names of `Endpoint.tested`; empty for the baseline.
        tie_width: Smallest gap in AUROC to the baseline that the spread over folds allows to call a
            difference (Nadeau & Bengio 2003); NaN for the baseline and with too few folds.
        explained: Nagelkerke's R² of the out-of-fold probabilities.
        delong: AUROC with DeLong's interval; None where it is not defined.
        roc: Sensitivity over the false-positive rate.
        pr: Precision over recall.
        calibration: Calibration by bins.
        decision: Net benefit over the threshold probability.
        fold_averaged: AUROC inside folds, averaged over folds and repeats; that in `metrics` pools
            the predictions of all folds.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    n: int
    events: int
    metrics: dict[str, Estimate]
    threshold: str
    differences: dict[str, Difference]
    tie_width: float
    explained: float
    delong: Estimate | None
    roc: Curve
    pr: Curve
    calibration: CalibrationBins
    decision: Curve
    fold_averaged: Estimate | None = None


@dataclasses.dataclass(frozen=True)
class Gain:
    """What fusing all modalities adds to one of them, with the same model and patients.

    Attributes:
        model: Name of the model of both arms.
        modality: The one that the single arm sees.
        single_arm: Arm that sees one modality.
        fused_arm: Arm of the same model that sees all of them.
        delta: Headline metric of the fused arm minus that of the single one, paired.
        p: Two-sided p.
        p_holm: The same, adjusted by Holm over all gains.
    """

    model: str
    modality: str
    single_arm: str
    fused_arm: str
    delta: Estimate
    p: float
    p_holm: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something the reader must know before the numbers.

    Attributes:
        level: `invalidates`, `warning` or `note`.
        text: One or two sentences.
    """

    level: str
    text: str


@dataclasses.dataclass(frozen=True)
class FlowStep:
    """How many images, patients or values left the study at one stage for one reason."""

    entity: str
    stage: str
    reason: str
    n: int


class Arm(NamedArm, Protocol):
    """What every kind of endpoint knows of an arm."""

    @property
    def n(self) -> int:
        """Patients."""
        ...

    @property
    def events(self) -> int:
        """Patients with the outcome."""
        ...

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """Metrics by name."""
        ...

    @property
    def differences(self) -> Mapping[str, Difference]:
        """Minus the baseline, by the names of `Endpoint.tested`; empty for the baseline."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the report of any kind of endpoint is made of; each kind adds its own.

    Attributes:
        endpoint: Kind of the endpoint (`fusion.endpoints`).
        run: What was run.
        findings: What invalidates, warns and is to be noted, in this order.
        flow: Everything left out, counted by stage and reason.
        table1: Table 1, by outcome, as `featurestore.cohort.table_one` makes it.
        arms: Arms and references, the best first, then the floors (`leaderboard`).
        baseline: Name of the arm that differences are taken against.
        verdict: What may be claimed.
        history: Training curves; may be empty.
        bootstrap_draws: Draws of the bootstrap.
        fusion_gain: Gains of the fused arms over each single modality.
        encoder_history: One row an epoch of each fine-tuned encoder
            (`fold_encoders.FoldEncoders.history`); may be empty.
        audit: What every check of the audit said; None where no audit was made.
        importances: What models on all modalities lean on.
        inputs: Their largest inputs, where the model has contributions.
        tuning: What tuning did.
        calibration: How scores became probabilities, in words.
        intervals: The kinds of interval that stand in the report, in words, with the coverage that
            was simulated.
        availability: Patients by the modalities that they have
            (`featurestore.cohort.availability`).
        overlays: Grad-CAM of the patients of whom the baseline is most and least certain.
        used: What the fitted arms looked at.
        config: How they were fitted.
        group_losses: What models lose without one group; empty without this design.
        learning_curve: How models do on fewer patients; empty without this design.
        subgroups: The baseline by subgroup.
        reference_model: What the clinical reference rests on; None where none was fitted.
        pairs: Every arm minus every other.
        seconds: How long the fits of each arm took, by its name, where somebody looked. It is said
            in the terminal and in no file, so that two runs of one seed write the same report.
    """

    endpoint: ClassVar[str]
    run: RunFacts
    findings: tuple[Finding, ...]
    flow: tuple[FlowStep, ...]
    table1: pd.DataFrame
    arms: tuple[Arm, ...]
    baseline: str
    verdict: Verdict
    history: pd.DataFrame
    bootstrap_draws: int
    fusion_gain: tuple[Gain, ...]
    encoder_history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    audit: AuditReport | None = None
    importances: tuple[BlockImportance, ...] = ()
    inputs: tuple[InputSize, ...] = ()
    tuning: tuple[TuningEvidence, ...] = ()
    calibration: str = AS_GIVEN
    intervals: tuple[IntervalFacts, ...] = ()
    availability: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    overlays: tuple[PatientOverlay, ...] = ()
    used: Used = NOTHING_USED
    config: AblationConfig = dataclasses.field(default_factory=AblationConfig)
    group_losses: tuple[GroupLoss, ...] = ()
    learning_curve: tuple[LearningPoint, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    reference_model: ReferenceModel | None = None
    pairs: tuple[Pair, ...] = ()
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def noun(self) -> Noun:
        """What observations are called."""
        return self.run.counted.noun


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinaryEvidence(Evidence):
    """What reports of outcomes that are there or not have beside.

    Attributes:
        arms: As in `Evidence`.
        per_fold: One row an arm, repeat and fold; columns `PER_FOLD_COLUMNS`.
        net_benefit_threshold: Threshold probability of the net benefit in the table.
        ladder: What a label-matched result is made of; None with other linkages.
        sensitivity: Arms where missing values are handled in another way; empty without.
        matched: Arms among patients whom the clinical reference rates alike.
        threshold_rule: How thresholds of decisions were chosen, in words.
        operating: By arm what deciding at a threshold brings, without small counts.
    """

    endpoint: ClassVar[str] = "binary"
    arms: tuple[ArmEvidence, ...]
    per_fold: pd.DataFrame
    net_benefit_threshold: float
    ladder: Ladder | None = None
    sensitivity: tuple[Sensitivity, ...] = ()
    matched: Matched | None = None
    threshold_rule: str = "Youden's index"
    operating: Mapping[str, tuple[Operating, ...]] = dataclasses.field(default_factory=dict)
