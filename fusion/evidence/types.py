"""What a report is made of: every number, and nothing that computes one.

`fusion.evidence` fills these and is where to import them from; `fusion.report` renders them.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from fusion.audit.base import AuditReport
from fusion.evaluation.ladder import Ladder
from fusion.evaluation.overlays import Overlay
from fusion.evidence.designs import GroupLoss, LearningPoint
from fusion.evidence.importances import BlockImportance, InputSize
from fusion.evidence.matched import Matched
from fusion.evidence.subgroups import Subgroup
from fusion.evidence.tuning import TuningEvidence
from fusion.metrics.bootstrap import Estimate
from fusion.metrics.curves import CalibrationBins, Curve

TABLE1_COLUMNS = ("variable", "level", "unit", "all", "no event", "event", "missing")


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of an arm minus that of the reference arm, paired.

    Attributes:
        estimate: The difference with its interval.
        p: Two-sided bootstrap p.
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
        delta_auroc: AUROC minus that of the reference arm, paired; None for the reference arm.
        p: Two-sided bootstrap p of `delta_auroc`.
        p_holm: The same, adjusted by Holm over all arms of the table that were tested.
        delong: AUROC of the first repeat with DeLong's interval; None where it is not defined.
        roc: Sensitivity over the false-positive rate.
        pr: Precision over recall.
        calibration: Calibration by bins, of the first repeat.
        decision: Net benefit over the threshold probability.
        differences: AUPRC and Brier minus those of the reference arm, by metric name; empty for
            the reference arm.
    """

    arm: str
    model: str
    modalities: tuple[str, ...]
    kind: str
    n: int
    events: int
    metrics: dict[str, Estimate]
    threshold: str
    delta_auroc: Estimate | None
    p: float | None
    p_holm: float | None
    delong: Estimate | None
    roc: Curve
    pr: Curve
    calibration: CalibrationBins
    decision: Curve
    differences: dict[str, Difference] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Gain:
    """What fusing all modalities adds to one of them, with the same model and patients.

    Attributes:
        single_arm: Arm that sees one modality.
        fused_arm: Arm of the same model that sees all of them.
        delta: AUROC of the fused arm minus that of the single one, paired.
        p: Two-sided bootstrap p.
    """

    single_arm: str
    fused_arm: str
    delta: Estimate
    p: float


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


@dataclasses.dataclass(frozen=True)
class AnalysisFacts:
    """How data were chosen and used, in the words that reporting standards ask for.

    Attributes:
        sources: Kinds of the sources that were read.
        sites: Sites that patients come from; 0 where no site is known.
        eligibility: Who is studied.
        predictors: Columns and embeddings that models may look at.
        withheld: Columns that models never see: they reveal the outcome or become known later.
        measured: When predictors become known.
        split: Outer folds and repeats.
        building: How models are fitted and tuned inside the training part.
        imbalance: What was done about unequal classes.
    """

    sources: str = ""
    sites: int = 0
    eligibility: str = ""
    predictors: str = ""
    withheld: str = ""
    measured: str = ""
    split: str = ""
    building: str = ""
    imbalance: str = ""


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What was run, on what, with what.

    Attributes:
        name: Name of the run.
        command: Command line that repeats it.
        outcome_name: Name of the outcome.
        outcome_definition: Its definition.
        unit: What one observation is.
        as_of: Time up to which predictors may have been measured.
        linkage: How images and patient rows were matched.
        synthetic: Whether any row was made by a program.
        n_patients: Patients of the cohort.
        n_events: Patients with the outcome.
        n_images: Images of the cohort.
        prevalence: n_events / n_patients.
        seed: Seed of the run.
        cohort_digest: SHA-256 of the cohort.
        folds_digest: SHA-256 that names the frozen folds.
        encoders: One line an encoder: weights and short digest.
        versions: Version by package.
        caveats: Sentences of the outcome.
        notes: Sentences of the cohort.
        facts: Known numbers, for example the oracle AUROC.
        licences: One line a source.
        arms_left_out: One line an arm that could not be fitted on all folds, with the reason.
        analysis: How data were chosen and used.
    """

    name: str
    command: str
    outcome_name: str
    outcome_definition: str
    unit: str
    as_of: str
    linkage: str
    synthetic: bool
    n_patients: int
    n_events: int
    n_images: int
    prevalence: float
    seed: int
    cohort_digest: str
    folds_digest: str
    encoders: tuple[str, ...]
    versions: dict[str, str]
    caveats: tuple[str, ...]
    notes: tuple[str, ...]
    facts: dict[str, float]
    licences: tuple[str, ...]
    arms_left_out: tuple[str, ...] = ()
    analysis: AnalysisFacts = AnalysisFacts()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All numbers of a report.

    Attributes:
        run: What was run.
        findings: What invalidates, warns and is to be noted, in this order.
        flow: Everything left out, counted by stage and reason.
        table1: Baseline table by outcome; columns `TABLE1_COLUMNS`.
        arms: The arms in the order of the predictions' plan: arms, references, floors.
        reference: Name of the arm that differences are taken against.
        per_fold: One row an arm, repeat and fold; columns `PER_FOLD_COLUMNS`.
        history: Training curves; may be empty.
        net_benefit_threshold: Threshold probability of the net benefit in the table.
        bootstrap_draws: Draws of the bootstrap.
        tie_width: Smallest gap in AUROC that fold-level spread allows to call a difference
            (Nadeau & Bengio 2003); NaN with too few folds.
        fusion_gain: Gains of the fused arms over each single modality.
        encoder_history: One row an epoch of each fine-tuned encoder
            (`fold_encoders.FoldEncoders.history`); may be empty.
        audit: What every check of the audit said; None where no audit was made.
        ladder: What a label-matched result is made of; None with other linkages.
        group_losses: What models lose without one group; empty without this design.
        learning_curve: How models do on fewer patients; empty without this design.
        subgroups: The reference arm by subgroup.
        matched: Arms among patients whom the clinical reference rates alike.
        importances: What models on all modalities lean on.
        inputs: Their largest inputs, where the model has contributions.
        tuning: What tuning did.
        threshold_rule: How thresholds of decisions were chosen, in words.
        calibration: How scores became probabilities, in words.
        availability: Patients by the modalities that they have
            (`featurestore.cohort.availability`).
        overlays: Grad-CAM of the patients of whom the reference arm is most and least certain.
    """

    run: RunFacts
    findings: tuple[Finding, ...]
    flow: tuple[FlowStep, ...]
    table1: pd.DataFrame
    arms: tuple[ArmEvidence, ...]
    reference: str
    per_fold: pd.DataFrame
    history: pd.DataFrame
    net_benefit_threshold: float
    bootstrap_draws: int
    tie_width: float
    fusion_gain: tuple[Gain, ...]
    encoder_history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    audit: AuditReport | None = None
    ladder: Ladder | None = None
    group_losses: tuple[GroupLoss, ...] = ()
    learning_curve: tuple[LearningPoint, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    matched: Matched | None = None
    importances: tuple[BlockImportance, ...] = ()
    inputs: tuple[InputSize, ...] = ()
    tuning: tuple[TuningEvidence, ...] = ()
    threshold_rule: str = "Youden's index"
    calibration: str = "as the models give them"
    availability: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    overlays: tuple[Overlay, ...] = ()
