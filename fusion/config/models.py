"""Sections about models: what is fitted, and how."""

from __future__ import annotations

from typing import Literal

import pydantic

from extractor.config_finetune import AugmentConfig
from featurestore.config import Section


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
        batched: Heads of all arms, folds and members train as one program a shape, in this
            process; dropout draws other numbers, so predictions differ within the noise of
            training.
        device: Where batched heads train: `cpu`, or `cuda`, the first card.
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
    batched: bool = False
    device: Literal["cpu", "cuda"] = "cpu"

    @pydantic.model_validator(mode="after")
    def _a_card_trains_batches(self) -> HeadConfig:
        if self.device == "cuda" and not self.batched:
            raise ValueError("device: cuda needs batched: true; heads one by one train on cpu")
        return self


class AttentionConfig(Section):
    """Attention over bags of tiles (`fusion_head_attention`).

    Attributes:
        hidden: Width of the attention.
        memory_mb: Megabytes that tiles may take in each worker process: a part keeps bags between
            steps, half is for one step, which draws tiles from its bags where they are more.
    """

    hidden: int = pydantic.Field(64, ge=2, le=4096)
    memory_mb: int = pydantic.Field(1024, ge=1, le=1_000_000)


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


class DiscreteTimeConfig(Section):
    """Time in intervals, for models of hazards that need not be proportional.

    Attributes:
        intervals: Intervals at most, each with about equally many events of the training part.
    """

    intervals: int = pydantic.Field(8, ge=2, le=100)


class MetadataConfig(Section):
    """Preprocessing of patient columns and reduction of wide inputs for the comparators.

    Attributes:
        expression_components: Principal components of log-transformed expression columns;
            0 keeps the columns as they are.
        embedding_components: Principal components of each embedding that a comparator sees.
        indicators: Whether an input says that a value was missing; without, its place is taken by
            the median alone.
    """

    expression_components: int = pydantic.Field(16, ge=0, le=1000)
    embedding_components: int = pydantic.Field(32, ge=1, le=1000)
    indicators: bool = True
