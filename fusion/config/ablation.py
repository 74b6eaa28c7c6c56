"""The `ablation` section: which arms there are, and what all of them share."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from featurestore.config import Section, Text
from fusion.config.models import (
    AttentionConfig,
    DiscreteTimeConfig,
    HeadConfig,
    JointConfig,
    MetadataConfig,
    TuningConfig,
)


class ModalityConfig(Section):
    """One modality: embeddings of one or more backbones, or groups of the dictionary.

    Attributes:
        embeddings: Names of backbones; `NAME_ft` is the fine-tuned one.
        role: Of the images that are averaged, for example `dermoscopic`; by default all are.
        groups: Groups of patient columns, as the dictionary names them.
    """

    embeddings: tuple[str, ...] = ()
    role: Text | None = None
    groups: tuple[str, ...] = ()

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> ModalityConfig:
        if bool(self.embeddings) == bool(self.groups):
            raise ValueError("a modality names either embeddings or groups")
        if self.role is not None and not self.embeddings:
            raise ValueError("role is of images: it stands beside embeddings")
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


HOW_FITS_RUN = {"jobs", "scheduler"}
"""Keys of the section that say where fits run; no number depends on them."""


class AblationConfig(Section):
    """Arms of the ablation: `subsets` × `models`, then `arms`.

    Attributes:
        modalities: Named modalities. By default each backbone is one (where images have roles and
            most patients several, each backbone and role, `BACKBONE@ROLE`), the dictionary's
            expression columns are `expression`, and all other patient columns are `clinical`.
        subsets: `singles_and_full`, `all`, or lists of modality names.
        models: Models fitted on each subset; by default `fusion_head` and `lightgbm`.
        arms: Further arms; by default `rank_average`, and `logistic_regression` or, for times to an
            event, `cox_ridge`.
        leave_out: Leave-one-group-out arms; none by default.
        learning_curve: Arms on shares of the training patients; none by default.
        sensitivity: Whether arms that are cheap to fit again (the clinical reference, and a
            baseline of `logistic_regression`) are also fitted on complete cases, without
            indicators of missing values, and on multiple imputations.
        calibration: How scores become probabilities, fitted on inner predictions of each outer
            fold: `none`, `platt`, `temperature` or `isotonic`. `auto` is `platt` where weighted
            sampling moved the level of the predictions, else `none`. Of times to an event only
            `auto`: risks are always fitted on inner predictions.
        threshold: How decisions are made; of binary outcomes.
        risk_groups: Quantiles of the inner scores at which risk groups are cut, of times to an
            event; thirds by default.
        subgroups: Columns by which the baseline is also looked at; by default sex, age, body
            site and source site, as far as the cohort has them.
        overlays: Patients of each kind (most and least certain) whose pictures the report shows
            with Grad-CAM; 0 leaves pictures out of it.
        explain: Whether arms on all modalities are asked which inputs they use.
        reference: Arm that differences are taken against; by default the first model on all
            modalities.
        tuning: Optuna settings of tuned comparators.
        head: The fusion head.
        attention: Attention over bags of tiles.
        joint: The joint network.
        discrete_time: Intervals of models of hazards in discrete time.
        metadata: Preprocessing.
        jobs: Worker processes; every fit runs on one thread, so results do not depend on it.
        scheduler: Address of a Dask scheduler (`tcp://host:8786`) whose workers fit the arms
            instead of local processes; they must see the run's folder under the same path.
        bootstrap_draws: Draws of the patient-cluster bootstrap.
    """

    modalities: dict[str, ModalityConfig] | None = None
    subsets: Literal["singles_and_full", "all"] | tuple[tuple[str, ...], ...] = "singles_and_full"
    models: tuple[str, ...] | None = None
    arms: tuple[ArmConfig, ...] | None = None
    leave_out: LeaveOutConfig | None = None
    learning_curve: LearningCurveConfig | None = None
    sensitivity: bool = False
    calibration: Literal["auto", "none", "platt", "temperature", "isotonic"] = "auto"
    threshold: ThresholdConfig = ThresholdConfig()
    risk_groups: tuple[Annotated[float, pydantic.Field(gt=0, lt=1)], ...] | None = None
    subgroups: tuple[str, ...] | None = None
    overlays: int = pydantic.Field(2, ge=0, le=20)
    explain: bool = True
    reference: str | None = None
    tuning: TuningConfig = TuningConfig()
    head: HeadConfig = HeadConfig()
    attention: AttentionConfig = AttentionConfig()
    joint: JointConfig = JointConfig()
    discrete_time: DiscreteTimeConfig = DiscreteTimeConfig()
    metadata: MetadataConfig = MetadataConfig()
    jobs: int = pydantic.Field(2, ge=1, le=1024)
    scheduler: str | None = None
    bootstrap_draws: int = pydantic.Field(2000, ge=200, le=100_000)
