"""What is trained when, and how fast: block groups, learning rates, release and plateau."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import nn

from extractor.config_finetune import FinetuneConfig
from extractor.finetune.classifier import Classifier
from featurestore.errors import ConfigError

LEAST_RATE_SHARE = 0.01  # the plateau schedule stops at this share of the initial rates


def block_groups(trunk: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters by block group as timm cuts the architecture, from the input to the output.

    Raises:
        ConfigError: timm does not know how to cut it.
    """
    matcher: Any = getattr(trunk, "group_matcher", None)
    if matcher is None:
        raise ConfigError("the backbone has no block groups that timm knows: take another one")
    number = group_parameters(trunk, matcher(coarse=True), reverse=True)
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in trunk.named_parameters():
        groups.setdefault(number[name], []).append(parameter)
    return [groups[k] for k in sorted(groups)]


def released_groups(config: FinetuneConfig, n_groups: int, epoch: int) -> int:
    """Number of block groups, counted from the output, that are trained in an epoch (from 1)."""
    most = max(n_groups - config.frozen_groups, 0)
    return most if config.unfreeze == 0 else min((epoch - 1) // config.unfreeze, most)


def release(groups: list[list[nn.Parameter]], released: int) -> None:
    """Lets gradients reach the last `released` groups only; the backward pass ends there."""
    for k, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(k >= len(groups) - released)


def make_optimiser(model: Classifier, config: FinetuneConfig) -> torch.optim.AdamW:
    """AdamW whose rates decay from block to block towards the input, and the head's own.

    All parameters must require gradients when this is called, so that those released later are
    known. The decay is timm's (after BEiT, Bao et al. 2022, arXiv:2106.08254), per block. Each
    group remembers its full rate as `initial_lr`.
    """
    keep: set[str] = getattr(model.trunk, "no_weight_decay", set)()
    groups = param_groups_layer_decay(
        model.trunk,
        weight_decay=config.weight_decay,
        no_weight_decay_list=keep,
        layer_decay=config.layer_decay,
    )
    rates = [config.learning_rate * group["lr_scale"] for group in groups]
    head = [
        {"params": [model.head.weight], "weight_decay": config.weight_decay},
        {"params": [model.head.bias], "weight_decay": 0.0},
    ]
    rates += [config.head_learning_rate] * len(head)
    return torch.optim.AdamW(
        [
            {
                "params": group["params"],
                "weight_decay": group["weight_decay"],
                "lr": rate,
                "initial_lr": rate,
            }
            for group, rate in zip(groups + head, rates, strict=True)
        ],
        fused=True,
    )


@dataclasses.dataclass(frozen=True)
class RatesState:
    """All of `Rates` that changes.

    Attributes:
        lr: Rate of each parameter group.
        best: Best score that the plateau schedule has seen; None before the first.
        num_bad_epochs: Epochs since.
    """

    lr: tuple[float, ...]
    best: float | None
    num_bad_epochs: int


class Rates:
    """Learning rates over the training: a linear rise, then reductions on plateaus."""

    def __init__(self, optimiser: torch.optim.Optimizer, config: FinetuneConfig) -> None:
        self._optimiser = optimiser
        self._warmup_epochs = config.warmup_epochs
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser,
            mode="max",
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            threshold=0.0,
            min_lr=[g["initial_lr"] * LEAST_RATE_SHARE for g in optimiser.param_groups],
            eps=0.0,
        )

    def before_step(self, begun: float, ended: float) -> None:
        """Sets the rates of a step, given the epochs done before and after it, in parts."""
        if begun >= self._warmup_epochs:
            return
        share = min(ended / self._warmup_epochs, 1.0)
        for group in self._optimiser.param_groups:
            group["lr"] = group["initial_lr"] * share

    def after_epoch(self, epoch: int, score: float) -> None:
        """Follows the score, higher being better; not while rates still rise."""
        if epoch >= self._warmup_epochs:
            self._plateau.step(score)

    def state(self) -> RatesState:
        """All that changes."""
        best = float(self._plateau.best)
        return RatesState(
            lr=tuple(group["lr"] for group in self._optimiser.param_groups),
            best=best if math.isfinite(best) else None,
            num_bad_epochs=int(self._plateau.num_bad_epochs),
        )

    def restore(self, state: RatesState) -> None:
        """Takes over what `state` returned.

        Raises:
            ValueError: It is of another number of parameter groups.
        """
        for group, rate in zip(self._optimiser.param_groups, state.lr, strict=True):
            group["lr"] = rate
        self._plateau.best = -math.inf if state.best is None else state.best
        self._plateau.num_bad_epochs = state.num_bad_epochs
