"""What is trained when, and how fast: block groups, their learning rates and their release."""

from __future__ import annotations

from typing import Any

import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import nn

from extractor.config_finetune import FinetuneConfig
from extractor.finetune.classifier import Classifier
from featurestore.errors import ConfigError


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
