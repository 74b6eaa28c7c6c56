"""The `finetune` section of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pydantic

from extractor.config import AUTO, BackboneConfig, Precision
from featurestore.cohort import CohortConfig
from featurestore.config import Section

TUNED_SUFFIX = "_ft"
"""Ends the name of a fine-tuned backbone in modalities and arms."""


class AugmentConfig(Section):
    """How training pictures are varied; every number at its neutral value turns its step off.

    Attributes:
        flips: Mirror each axis with probability 1/2.
        rotation: Greatest angle in degrees to either side; corners are filled by reflection.
        brightness: Greatest relative change of brightness.
        contrast: Greatest relative change of contrast.
        saturation: Greatest relative change of saturation.
        hue: Greatest shift of hue, as a share of the colour circle.
        crop_scale: Least and greatest share of the picture's area that a resized crop keeps.
        blur: Probability of a Gaussian blur.
        dropout: Probability that a rectangle of 2 to 20 % of the area is blanked.
        albumentations: File (`.json`, `.yaml`) written by `albumentations.save`, relative to the
            data root; it takes the place of all other steps and needs the extra.
    """

    flips: bool = True
    rotation: float = pydantic.Field(180.0, ge=0, le=180)
    brightness: float = pydantic.Field(0.1, ge=0, lt=1)
    contrast: float = pydantic.Field(0.1, ge=0, lt=1)
    saturation: float = pydantic.Field(0.1, ge=0, lt=1)
    hue: float = pydantic.Field(0.02, ge=0, le=0.5)
    crop_scale: tuple[float, float] = (0.7, 1.0)
    blur: float = pydantic.Field(0.1, ge=0, le=1)
    dropout: float = pydantic.Field(0.1, ge=0, le=1)
    albumentations: Path | None = None

    @pydantic.field_validator("crop_scale")
    @classmethod
    def _scales_ascend(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0.05 <= scale[0] <= scale[1] <= 1:
            raise ValueError("the least and the greatest share of the area, between 0.05 and 1")
        return scale


class FinetuneConfig(Section):
    """How backbones are trained on images and an outcome (stage 1).

    Attributes:
        backbones: Backbones and the weights they start from.
        external: Other patients to train on, so that one encoder serves all folds; by default
            one encoder an outer fold is trained on that fold's training patients.
        epochs: Most epochs.
        batch_size: Images a forward pass, over all processes together.
        accumulate: Forward passes an optimiser step; the step is that of a batch of
            `batch_size * accumulate` images, but for batch normalisation, which sees the passes.
        learning_rate: Of the last block group.
        head_learning_rate: Of the new head.
        layer_decay: Factor from each block to the one before it.
        unfreeze: Epochs after which the next block group, from the output side, is released;
            the first group after as many epochs of the head alone. 0 releases all at the start.
        frozen_groups: Block groups nearest to the input that are never released.
        batch_norm: `train` updates the statistics of released groups, `frozen` keeps all as they
            are, and `auto` trains them where `batch_size` is 16 or more.
        warmup_epochs: Epochs over which learning rates rise linearly; parts are allowed.
        plateau_patience: Epochs without a better AUROC before learning rates are reduced.
        plateau_factor: What they are then multiplied by.
        patience: Epochs without a better AUROC before the training ends.
        ema_decay: Decay a step of the moving average of weights that is validated and kept; it
            is warmed up, so that short trainings are not held at their start. 0 turns it off.
        label_smoothing: Labels become `y (1 - s) + s / 2`.
        weighted_sampling: Draw both classes equally often, with replacement.
        weight_decay: Of AdamW; vectors (norms, biases) are spared.
        validation_fraction: Share of the training patients' groups that validates.
        precision: `auto` is bfloat16 (older cards: float16) on CUDA and float32 elsewhere.
        compile: Compile the model (`torch.compile`); `auto` does on CUDA, from 5,000 passes on and
            where all blocks are released at the start.
        device: `auto` picks CUDA, then MPS, then CPU.
        workers: Processes that augment beside the training. By default none: CUDA augments itself
            (but for Albumentations, which takes 4), and on a CPU the training fills the cores.
        threads: Threads of a training on a CPU. Sums are split between them, so the last bits of
            the weights depend on it: it is fixed here, not taken from the machine.
        augment: How training pictures are varied.
        views: Augmented views of each training image in the store; 0 is none.
        test_views: Augmented views whose embeddings are averaged for scoring; 0 is none.
        tensorboard: Write event files beside the checkpoints; it needs the extra.
    """

    backbones: tuple[BackboneConfig, ...] = pydantic.Field(
        (BackboneConfig(name="resnet18"),), min_length=1
    )
    external: CohortConfig | None = None
    epochs: int = pydantic.Field(20, ge=1, le=1000)
    batch_size: int = pydantic.Field(32, ge=2, le=4096)
    accumulate: int = pydantic.Field(1, ge=1, le=1024)
    learning_rate: float = pydantic.Field(3e-4, gt=0, le=1)
    head_learning_rate: float = pydantic.Field(1e-3, gt=0, le=1)
    layer_decay: float = pydantic.Field(0.8, gt=0, le=1)
    unfreeze: int = pydantic.Field(0, ge=0, le=1000)
    frozen_groups: int = pydantic.Field(0, ge=0, le=1000)
    batch_norm: Literal["auto", "train", "frozen"] = "auto"
    warmup_epochs: float = pydantic.Field(1.0, ge=0, le=100)
    plateau_patience: int = pydantic.Field(2, ge=0, le=1000)
    plateau_factor: float = pydantic.Field(0.3, gt=0, lt=1)
    patience: int = pydantic.Field(6, ge=1, le=1000)
    ema_decay: float = pydantic.Field(0.99, ge=0, lt=1)
    label_smoothing: float = pydantic.Field(0.05, ge=0, lt=1)
    weighted_sampling: bool = False
    weight_decay: float = pydantic.Field(0.05, ge=0, le=10)
    validation_fraction: float = pydantic.Field(0.15, gt=0, lt=1)
    precision: Precision = AUTO
    compile: bool | Literal["auto"] = AUTO
    device: str = "auto"
    workers: int | None = pydantic.Field(None, ge=0, le=256)
    threads: int = pydantic.Field(2, ge=1, le=256)
    augment: AugmentConfig = AugmentConfig()
    views: int = pydantic.Field(0, ge=0, le=64)
    test_views: int = pydantic.Field(0, ge=0, le=64)
    tensorboard: bool = False

    @pydantic.field_validator("backbones")
    @classmethod
    def _names_are_unique(cls, backbones: tuple[BackboneConfig, ...]) -> tuple[BackboneConfig, ...]:
        names = [b.name for b in backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"a backbone stands twice in {names}")
        return backbones

    @property
    def trains_batch_norm(self) -> bool:
        """Whether batch normalisation learns its statistics anew.

        Statistics of few images are noise that a forward pass normalises by, so below 16 images
        those of the start weights are kept (Wu & He 2018, arXiv:1803.08494, figure 1).
        """
        if self.batch_norm == "auto":
            return self.batch_size >= MIN_BATCH_FOR_STATISTICS
        return self.batch_norm == "train"


MIN_BATCH_FOR_STATISTICS = 16


def fine_tuned_names(config: FinetuneConfig | None) -> tuple[str, ...]:
    """Names of the fine-tuned backbones of a configuration, in modalities and arms."""
    return () if config is None else tuple(f"{b.name}{TUNED_SUFFIX}" for b in config.backbones)
