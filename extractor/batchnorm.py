"""Folding of batch normalisation into the convolution before it, for inference only."""

from __future__ import annotations

import copy

import torch
from torch import nn

_TOLERANCE = 1e-4
"""Largest change, relative to the largest output, that folding may cause (rounding gives 1e-6)."""


def fold_batchnorm(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Returns a copy whose batch normalisations are part of the convolutions that feed them.

    At inference a batch normalisation is an affine map per channel, so `BN(conv(x))` is a
    convolution with scaled weights (Jacob et al. 2018, arXiv:1712.05877, section 3.2). Which
    convolution feeds which normalisation is observed in a forward pass, and the folded copy is
    compared with the original: for an architecture that folding would change, the copy is plain.

    Args:
        module: Model in evaluation mode; it is not changed.
        example: Input (n, 3, size, size) for the two forward passes.
    """
    folded = copy.deepcopy(module)
    with torch.inference_mode():
        expected = module(example)
    with torch.no_grad():
        for name, conv, norm in _conv_norm_pairs(folded, example):
            _absorb(conv, norm)
            folded.set_submodule(name, getattr(norm, "act", nn.Identity()))
    with torch.inference_mode():
        change = (folded(example) - expected).abs().max()
    exact = bool(change <= _TOLERANCE * expected.abs().max())
    return folded if exact else copy.deepcopy(module)


def _conv_norm_pairs(
    module: nn.Module, example: torch.Tensor
) -> list[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    producers: dict[int, nn.Conv2d] = {}
    alive: list[torch.Tensor] = []  # keeps ids of tensors unique during the pass
    pairs: dict[nn.BatchNorm2d, nn.Conv2d] = {}

    def after_conv(conv: nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        alive.append(output)
        producers[id(output)] = conv

    def before_norm(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        conv = producers.get(id(inputs[0]))
        if conv is not None and isinstance(norm, nn.BatchNorm2d):
            pairs[norm] = conv

    handles = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            handles.append(part.register_forward_hook(after_conv))
        elif isinstance(part, nn.BatchNorm2d) and part.affine and part.track_running_stats:
            handles.append(part.register_forward_pre_hook(before_norm))
    module(example)
    for handle in handles:
        handle.remove()
    return [
        (name, pairs[part], part)
        for name, part in module.named_modules()
        if isinstance(part, nn.BatchNorm2d) and part in pairs
    ]


def _absorb(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    offset = norm.bias.double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        offset = offset + conv.bias.double() * scale
    conv.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    conv.bias = nn.Parameter(offset.to(conv.weight.dtype), requires_grad=False)
