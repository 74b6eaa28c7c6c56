"""The whole configuration of a run: the sections of all rooms in one schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import pydantic

from extractor.config import ExtractConfig
from extractor.config_finetune import AugmentConfig, FinetuneConfig
from featurestore.cohort.assemble import CohortConfig
from featurestore.config import FoldsConfig, Section
from featurestore.export import EXPORTERS
from featurestore.export.deidentify import Step
from featurestore.export.splitting import MAX_VARIABLES


class HeadConfig(Section):
    """The neural fusion head and its training.

    Attributes:
        projection: Width of each modality's projection.
        hidden: Widths of the fully connected layers after concatenation.
        dropout: Dropout rate after every layer.
        modality_dropout: Probability of hiding a whole modality of a row in training.
        learning_rate: Initial rate of AdamW; wide projections learn more slowly
            (`heads.FusionHead.parameter_groups`).
        weight_decay: Weight decay of AdamW.
        batch_size: Rows a step.
        epochs: Most epochs.
        patience: Epochs without better inner-validation AUROC before training stops.
        plateau_patience: Epochs without better AUROC before the rate is reduced.
        weighted_sampling: Draw events and non-events equally often. Does not raise AUROC and
            harms calibration (van den Goorbergh et al. 2022), so it is off by default.
        validation_fraction: Share of the training patients used for inner validation.
        ensemble: Heads with other seeds and inner splits whose logits are averaged.
    """

    projection: int = pydantic.Field(64, ge=2, le=4096)
    hidden: tuple[int, ...] = (128, 32)
    dropout: float = pydantic.Field(0.5, ge=0, lt=1)
    modality_dropout: float = pydantic.Field(0.1, ge=0, lt=1)
    learning_rate: float = pydantic.Field(1e-3, gt=0, le=1)
    weight_decay: float = pydantic.Field(1e-2, ge=0)
    batch_size: int = pydantic.Field(64, ge=2)
    epochs: int = pydantic.Field(60, ge=1)
    patience: int = pydantic.Field(12, ge=1)
    plateau_patience: int = pydantic.Field(4, ge=1)
    weighted_sampling: bool = False
    validation_fraction: float = pydantic.Field(0.2, gt=0, lt=0.5)
    ensemble: int = pydantic.Field(3, ge=1, le=50)


class JointConfig(Section):
    """The joint network: backbones and fusion head under one loss.

    Attributes:
        start: `stages` begins with the head that was fitted on the cached embeddings, `scratch`
            with a new one. The backbones begin with the weights that made the embeddings which
            the arm's modalities name: fine-tuned ones for `resnet18_ft`.
        epochs: Most epochs.
        batch_size: Rows a step.
        learning_rate: Of the last block group of each backbone.
        head_learning_rate: Of the head.
        layer_decay: Factor from each block to the one before it.
        weight_decay: Of AdamW.
        batch_norm: `train` updates the statistics of the backbones, `frozen` keeps them.
        warmup_epochs: Epochs over which learning rates rise linearly; parts are allowed.
        plateau_patience: Epochs without a better AUROC before learning rates are reduced.
        plateau_factor: What they are then multiplied by.
        patience: Epochs without a better AUROC before the training ends.
        augment: How training pictures are varied.
        device: `auto` picks CUDA, then MPS, then CPU.
    """

    start: Literal["stages", "scratch"] = "stages"
    epochs: int = pydantic.Field(15, ge=1, le=1000)
    batch_size: int = pydantic.Field(32, ge=2, le=4096)
    learning_rate: float = pydantic.Field(1e-4, gt=0, le=1)
    head_learning_rate: float = pydantic.Field(3e-4, gt=0, le=1)
    layer_decay: float = pydantic.Field(0.8, gt=0, le=1)
    weight_decay: float = pydantic.Field(0.05, ge=0, le=10)
    batch_norm: Literal["train", "frozen"] = "frozen"
    warmup_epochs: float = pydantic.Field(1.0, ge=0, le=100)
    plateau_patience: int = pydantic.Field(2, ge=0, le=1000)
    plateau_factor: float = pydantic.Field(0.3, gt=0, lt=1)
    patience: int = pydantic.Field(5, ge=1, le=1000)
    augment: AugmentConfig = AugmentConfig()
    device: str = "auto"


class SpaceConfig(Section):
    """Lowest and highest value that LightGBM's search may try; equal ones fix a parameter.

    Attributes:
        num_leaves: Leaves of a tree.
        learning_rate: Shrinkage.
        min_child_samples: Rows in a leaf.
        feature_fraction: Share of the columns that each tree sees.
        bagging_fraction: Share of the rows that each tree sees.
        lambda_l2: L2 penalty of leaf values.
    """

    num_leaves: tuple[int, int] = (4, 31)
    learning_rate: tuple[float, float] = (0.03, 0.15)
    min_child_samples: tuple[int, int] = (5, 60)
    feature_fraction: tuple[float, float] = (0.2, 1.0)
    bagging_fraction: tuple[float, float] = (0.5, 1.0)
    lambda_l2: tuple[float, float] = (1e-2, 30.0)

    @pydantic.model_validator(mode="after")
    def _bounds_make_sense(self) -> SpaceConfig:
        limits = {
            "num_leaves": (2, 4096),
            "learning_rate": (1e-4, 1),
            "min_child_samples": (1, 100_000),
            "feature_fraction": (1e-3, 1),
            "bagging_fraction": (1e-3, 1),
            "lambda_l2": (1e-9, 1e6),
        }
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name}: [{low}, {high}] is no range, lowest first, within [{least}, {most}]"
                )
        return self


class TuningConfig(Section):
    """Optuna inside the outer training fold.

    Attributes:
        trials: Trials a study (one study an arm, repeat and fold).
        inner_folds: Folds that score a trial.
        space: Bounds of LightGBM's parameters, for those that shall differ from the default.
        storage: Any Optuna storage URL; by default a SQLite file in the run's folder.
    """

    trials: int = pydantic.Field(20, ge=1, le=10_000)
    inner_folds: int = pydantic.Field(3, ge=2, le=20)
    space: SpaceConfig = SpaceConfig()
    storage: str | None = None


class MetadataConfig(Section):
    """Preprocessing of patient columns and reduction of wide inputs for the comparators.

    Attributes:
        expression_components: Principal components of log-transformed expression columns;
            0 keeps the columns as they are.
        embedding_components: Principal components of each embedding that a comparator sees.
    """

    expression_components: int = pydantic.Field(16, ge=0, le=1000)
    embedding_components: int = pydantic.Field(32, ge=1, le=1000)


class ModalityConfig(Section):
    """One modality: embeddings of one or more backbones, or groups of the dictionary.

    Attributes:
        embeddings: Names of backbones; `NAME_ft` is the fine-tuned one.
        groups: Groups of patient columns, as the dictionary names them.
    """

    embeddings: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> ModalityConfig:
        if bool(self.embeddings) == bool(self.groups):
            raise ValueError("a modality names either embeddings or groups")
        return self


class ThresholdConfig(Section):
    """How the threshold of decisions is chosen, on inner data of each outer fold.

    Attributes:
        rule: `youden` (largest sensitivity + specificity), `sensitivity` or `specificity` (the
            best of the other that still reaches `value`), or `cost` (least cost when a missed
            event costs `value` false alarms).
        value: Of the rule; none for `youden`.
    """

    rule: Literal["youden", "sensitivity", "specificity", "cost"] = "youden"
    value: float | None = pydantic.Field(None, gt=0, le=10_000)

    @pydantic.model_validator(mode="after")
    def _value_fits(self) -> ThresholdConfig:
        if (self.rule == "youden") != (self.value is None):
            raise ValueError("every rule but youden needs a value, and youden has none")
        if self.rule in ("sensitivity", "specificity") and not (self.value or 0) <= 1:
            raise ValueError(f"a {self.rule} lies between 0 and 1")
        return self


class LeaveOutConfig(Section):
    """Arms on everything but one group of columns, or one backbone.

    Attributes:
        models: Models to do this with.
        groups: Groups and backbones to leave out; all by default.
    """

    models: tuple[str, ...] = ("lightgbm",)
    groups: tuple[str, ...] = ()


class LearningCurveConfig(Section):
    """Arms on all modalities, fitted on a share of the training patients.

    Smaller shares are parts of larger ones; encoders are the same for all of them.

    Attributes:
        models: Models to do this with.
        shares: Shares of the outer training patients, beside the whole.
    """

    models: tuple[str, ...] = ("lightgbm",)
    shares: tuple[Annotated[float, pydantic.Field(gt=0, lt=1)], ...] = (0.25, 0.5, 0.75)


class ArmConfig(Section):
    """One arm beside the grid of subsets and models.

    Attributes:
        model: Name of a registered model.
        modalities: Names of modalities; all by default.
    """

    model: str
    modalities: tuple[str, ...] = ()


class AblationConfig(Section):
    """Arms of the ablation: `subsets` × `models`, then `arms`.

    Attributes:
        modalities: Named modalities. By default each backbone is one, the dictionary's expression
            columns are `expression`, and all other patient columns are `clinical`.
        subsets: `singles_and_full`, `all`, or lists of modality names.
        models: Models fitted on each subset.
        arms: Further arms.
        leave_out: Leave-one-group-out arms; none by default.
        learning_curve: Arms on shares of the training patients; none by default.
        calibration: How scores become probabilities, fitted on inner predictions of each outer
            fold: `none`, `platt`, `temperature` or `isotonic`. `auto` is `platt` where weighted
            sampling moved the level of the predictions, else `none`.
        threshold: How decisions are made.
        subgroups: Columns by which the reference arm is also looked at; by default sex, age, body
            site and source site, as far as the cohort has them.
        overlays: Patients of each kind (most and least certain) whose pictures the report shows
            with Grad-CAM; 0 leaves pictures out of it.
        explain: Whether arms on all modalities are asked which inputs they use.
        reference: Arm that differences are taken against; by default the first model on all
            modalities.
        tuning: Optuna settings of tuned comparators.
        head: The fusion head.
        joint: The joint network.
        metadata: Preprocessing.
        jobs: Worker processes; every fit runs on one thread, so results do not depend on it.
        scheduler: Address of a Dask scheduler (`tcp://host:8786`) whose workers fit the arms
            instead of local processes; they must see the run's folder under the same path.
        bootstrap_draws: Draws of the patient-cluster bootstrap.
    """

    modalities: dict[str, ModalityConfig] | None = None
    subsets: Literal["singles_and_full", "all"] | tuple[tuple[str, ...], ...] = "singles_and_full"
    models: tuple[str, ...] = ("fusion_head", "lightgbm")
    arms: tuple[ArmConfig, ...] = (
        ArmConfig(model="logistic_regression"),
        ArmConfig(model="rank_average"),
    )
    leave_out: LeaveOutConfig | None = None
    learning_curve: LearningCurveConfig | None = None
    calibration: Literal["auto", "none", "platt", "temperature", "isotonic"] = "auto"
    threshold: ThresholdConfig = ThresholdConfig()
    subgroups: tuple[str, ...] | None = None
    overlays: int = pydantic.Field(2, ge=0, le=20)
    explain: bool = True
    reference: str | None = None
    tuning: TuningConfig = TuningConfig()
    head: HeadConfig = HeadConfig()
    joint: JointConfig = JointConfig()
    metadata: MetadataConfig = MetadataConfig()
    jobs: int = pydantic.Field(2, ge=1, le=1024)
    scheduler: str | None = None
    bootstrap_draws: int = pydantic.Field(2000, ge=200, le=100_000)


class AcceptConfig(Section):
    """A finding of the audit that the author of the configuration knows and answers for.

    Attributes:
        check: Name of the check; checks of identity cannot be accepted.
        subject: One of the things that the finding is about, as the audit names it.
        reason: Why it does no harm; printed with the finding.
    """

    check: str
    subject: str
    reason: str


class AuditConfig(Section):
    """The audit.

    Attributes:
        accept: Findings to set aside; they stay visible and do not count for the exit code.
    """

    accept: tuple[AcceptConfig, ...] = ()


class ClaimConfig(Section):
    """A published result that the linkage ladder is compared with.

    Attributes:
        source: Where it was published.
        auc: Its AUROC.
        aupr: Its area under the precision-recall curve.
        accuracy: Its accuracy.
    """

    source: str
    auc: float | None = pydantic.Field(None, ge=0, le=1)
    aupr: float | None = pydantic.Field(None, ge=0, le=1)
    accuracy: float | None = pydantic.Field(None, ge=0, le=1)


class LadderConfig(Section):
    """The linkage ladder, which every label-matched run climbs.

    Attributes:
        components: Principal components of each embedding.
        folds: Folds on every rung.
        repeats: Repeats with other shuffles.
        jobs: Worker processes; results do not depend on it.
    """

    components: int = pydantic.Field(64, ge=1, le=1000)
    folds: int = pydantic.Field(5, ge=2, le=50)
    repeats: int = pydantic.Field(3, ge=1, le=100)
    jobs: int = pydantic.Field(2, ge=1, le=1024)


TableName = Literal[
    "analysis",
    "images",
    "embeddings",
    "predictions",
    "folds",
    "exclusions",
    "pairing",
    "missing_values",
]
"""Tables of an export; `fusion.export.tables` makes them."""


class ExportConfig(Section):
    """What `run` exports at its end.

    Attributes:
        formats: csv, parquet, dta (Stata), sav (SPSS) and xpt (SAS).
        tables: Which tables.
        embeddings: `pca:K` (K principal components, fitted on each fold's training part), `raw`,
            `none`, or `pca-cohort:K` (fitted on all patients: for description only).
        max_variables: Tables with more variables are split into parts with a shared key.
        deidentify: `ids` (keyed pseudonyms), `ages` (above 89), `dates` (moved per patient).
        key: File with the key of `deidentify`, relative to where the command runs.
    """

    formats: tuple[str, ...] = ("csv", "parquet")
    tables: tuple[TableName, ...] = get_args(TableName)
    embeddings: str = pydantic.Field(
        "pca:16", pattern=r"^(none|raw|(pca|pca-cohort):[1-9]\d{0,3})$"
    )
    max_variables: int = pydantic.Field(MAX_VARIABLES, ge=3, le=32_767)
    deidentify: tuple[Step, ...] = ()
    key: Path | None = None

    @pydantic.field_validator("formats")
    @classmethod
    def _registered(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in formats if name not in EXPORTERS]
        if unknown:
            raise ValueError(f"unknown format {unknown[0]!r}; known: {', '.join(EXPORTERS)}")
        return formats


class RunConfig(Section):
    """A run: one YAML file.

    Attributes:
        name: Name of the run, of its default output folder and of the predictions' `run` column.
        seed: Seed of everything random.
        cohort: Sources, linkage and outcome.
        folds: Outer folds.
        extract: Images to embeddings.
        finetune: How backbones are trained on the study's images; by default they are not.
        ablation: Arms and their models.
        audit: What the audit sets aside.
        claim: A published result to compare a label-matched run with.
        ladder: The linkage ladder of a label-matched run.
        export: Files written at the end.
        store: Folder of the feature store; by default `store` in the run's folder.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    seed: int = pydantic.Field(0, ge=0, lt=2**31)
    cohort: CohortConfig
    folds: FoldsConfig = FoldsConfig()
    extract: ExtractConfig = ExtractConfig()
    finetune: FinetuneConfig | None = None
    ablation: AblationConfig = AblationConfig()
    audit: AuditConfig = AuditConfig()
    claim: ClaimConfig | None = None
    ladder: LadderConfig = LadderConfig()
    export: ExportConfig = ExportConfig()
    store: Path | None = None
