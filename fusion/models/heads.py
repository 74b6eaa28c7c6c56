"""Fusion heads: modalities to one logit.

Each modality is projected to the same width; the projections are fused; fully connected layers
with batch normalisation, ReLU and dropout lead to the logit. A modality that a patient lacks is
replaced by a learned mask token, and whole modalities are hidden at random in training (ModDrop,
Neverova et al. 2016), so that a head trained on complete patients can score incomplete ones.

Heads take plain tensors and know nothing of tables or files, so cached embeddings and backbones
that are trained jointly feed the same head. A new way to fuse overrides `fuse` and `fused_width`
and adds one line to `HEADS`. Dimensions are counted from the last one, because several heads of one
shape also run as one, with a dimension of heads in front (`fusion.models.head_stack`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion.config import HeadConfig

FULL_RATE_WIDTH = 64
"""Widest projection that learns at the full rate."""


class FusionHead(nn.Module):
    """Projection of each modality, concatenation, fully connected layers, logit.

    Attributes:
        modalities: Names of the modalities, in the order of fusion.
        projections: One projection a modality: linear, batch normalisation, ReLU, dropout.
        mask_tokens: What stands for each missing modality; shape (modalities, projection).
        trunk: Fully connected layers.
        output: Last latent representation to logit.
        draw: Gives the random numbers by which modalities are hidden.
    """

    def __init__(self, dims: Mapping[str, int], config: HeadConfig) -> None:
        """Builds the layers.

        Args:
            dims: Width of each modality's input.
            config: Widths and rates.
        """
        super().__init__()
        self.modalities = tuple(dims)
        self._modality_dropout = config.modality_dropout
        self.draw: Callable[[Tensor], Tensor] = uniform
        self.projections = nn.ModuleList(
            _layer(width, config.projection, config.dropout) for width in dims.values()
        )
        self.mask_tokens = nn.Parameter(0.02 * torch.randn(len(dims), config.projection))
        widths = [self.fused_width(config.projection), *config.hidden]
        self.trunk = nn.Sequential(
            *(_layer(i, o, config.dropout) for i, o in itertools.pairwise(widths))
        )
        self.output = nn.Linear(widths[-1], 1)

    def forward(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Computes the logit of each row.

        Args:
            inputs: For each modality a finite tensor (n, width); what stands in the rows that
                lack the modality does not matter.
            present: For each modality whether a row has it; bool (n,).

        Returns:
            Logits, shape (n,).
        """
        # A row without the modality enters its batch statistics as the mean of standardised inputs.
        shown = {name: inputs[name].where(present[name][:, None], 0.0) for name in self.modalities}
        return self.fused(shown, torch.stack([present[name] for name in self.modalities], dim=-1))

    def fused(self, shown: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Computes the logit of each row.

        Args:
            shown: For each modality a tensor (n, width), zeros in rows that lack it.
            mask: Whether a row has each modality; bool (n, modalities).

        Returns:
            Logits, shape (n,).
        """
        projected = torch.stack(
            [
                project(shown[name])
                for name, project in zip(self.modalities, self.projections, strict=True)
            ],
            dim=-2,
        )
        if self.training and self._modality_dropout > 0:
            mask = hide_modalities(mask, self._modality_dropout, self.draw)
        tokens = torch.where(mask[..., None], projected, self.mask_tokens)
        return self.output(self.trunk(self.fuse(tokens))).squeeze(-1)

    def fused_width(self, projection: int) -> int:
        """Width of what `fuse` returns."""
        return len(self.modalities) * projection

    def fuse(self, tokens: Tensor) -> Tensor:
        """Fuses the projections (n, modalities, projection) into one vector a row."""
        return tokens.flatten(start_dim=-2)

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameters with their learning rates for an optimizer; the plain rate comes first.

        Adam moves every weight by about the rate, so one step moves the output of a layer in
        proportion to its inputs: a 1280-d embedding would be learned by heart before 20 clinical
        columns have moved. The rate of a projection falls with its width beyond
        `FULL_RATE_WIDTH`, the scaling of Yang et al. 2022 (maximal update parametrisation).
        """
        wide = {
            layer.weight: FULL_RATE_WIDTH / layer.in_features
            for layer in self.input_layers()
            if isinstance(layer, nn.Linear) and layer.in_features > FULL_RATE_WIDTH
        }
        plain = [p for p in self.parameters() if p not in wide]
        groups: list[dict[str, Any]] = [{"params": plain, "lr": learning_rate}]
        return groups + [{"params": [w], "lr": share * learning_rate} for w, share in wide.items()]

    def input_layers(self) -> Iterator[nn.Module]:
        """Layers that see inputs, and may be wide."""
        return self.projections.modules()

    def widen(self, outputs: int) -> None:
        """Gives the head several outputs, each a new linear function of the last layer."""
        if outputs != self.output.out_features:
            self.output = nn.Linear(self.output.in_features, outputs)

    def start_at(self, levels: np.ndarray) -> None:
        """Sets the biases of the outputs, shape (outputs,)."""
        with torch.no_grad():
            self.output.bias.copy_(torch.as_tensor(levels, dtype=self.output.bias.dtype))

    def shift(self, by: float) -> None:
        """Adds a constant to every output."""
        with torch.no_grad():
            self.output.bias.add_(by)

    def start_from(self, prevalence: float) -> None:
        """Sets the output's bias to the log odds of the training prevalence.

        Training then starts from the right overall level instead of spending epochs on it.
        """
        with torch.no_grad():
            self.output.bias.fill_(torch.logit(torch.tensor(prevalence), eps=1e-3))


class GatedHead(FusionHead):
    """Weighs the modalities of every patient by a gate over all of them, then sums them.

    Each latent dimension has a gate of its own whose weights sum to one over the modalities
    (Arevalo et al. 2017, gated multimodal units, with a softmax for more than two modalities).

    Attributes:
        gate: All projections to one weight a modality and dimension.
    """

    def __init__(self, dims: Mapping[str, int], config: HeadConfig) -> None:
        """Builds the layers; arguments as those of `FusionHead`."""
        super().__init__(dims, config)
        width = len(dims) * config.projection
        self.gate = nn.Linear(width, width)

    def fused_width(self, projection: int) -> int:
        """Width of one projection."""
        return projection

    def fuse(self, tokens: Tensor) -> Tensor:
        """Sums (n, modalities, projection) over modalities by their gates."""
        gates = self.gate(tokens.flatten(start_dim=-2)).view_as(tokens).softmax(dim=-2)
        return (gates * tokens).sum(dim=-2)


class LowRankHead(FusionHead):
    """Multiplies the modalities: a tensor fusion whose weights have low rank.

    The outer product of all projections, each with a 1 appended so that lower orders stay in, is
    never formed; its weight tensor is a sum of `RANK` products (Liu et al. 2018, low-rank
    multimodal fusion).

    Attributes:
        factors: One matrix a modality; shape (modalities, RANK, projection + 1, projection).
        rank_weights: Weight of each rank; shape (RANK,).
    """

    RANK = 4

    def __init__(self, dims: Mapping[str, int], config: HeadConfig) -> None:
        """Builds the layers; arguments as those of `FusionHead`."""
        super().__init__(dims, config)
        width = config.projection
        factors = torch.randn(len(dims), self.RANK, width + 1, width) / width**0.5
        factors[:, :, -1] = 1.0  # a product of ones lets every modality count alone at the start
        self.factors = nn.Parameter(factors)
        self.rank_weights = nn.Parameter(torch.full((self.RANK,), 1 / self.RANK))

    def fused_width(self, projection: int) -> int:
        """Width of one projection."""
        return projection

    def fuse(self, tokens: Tensor) -> Tensor:
        """Multiplies (n, modalities, projection) over modalities, rank by rank."""
        own = self.factors, self.rank_weights
        if tokens.ndim == 3 or tokens.is_cuda:
            return _multiplied(tokens, *own)
        # Of many heads on a CPU: products of all at once would round by their number.
        return torch.stack([_multiplied(*one) for one in zip(tokens, *own, strict=True)])


def _multiplied(tokens: Tensor, factors: Tensor, rank_weights: Tensor) -> Tensor:
    ones = torch.ones_like(tokens[..., :1])
    extended = torch.cat([tokens, ones], dim=-1)
    factored = torch.einsum("...mi,...mrij->...mrj", extended, factors)
    return torch.einsum("...rj,...r->...j", factored.prod(dim=-3), rank_weights)


HEADS: dict[str, type[FusionHead]] = {
    "concat": FusionHead,
    "gated": GatedHead,
    "low_rank": LowRankHead,
}
"""Ways to fuse, by name."""


def uniform(like: Tensor) -> Tensor:
    """Uniform random numbers in [0, 1) in the shape of a tensor."""
    return torch.rand(like.shape, device=like.device)


def hide_modalities(
    present: Tensor, rate: float, draw: Callable[[Tensor], Tensor] = uniform
) -> Tensor:
    """Hides each present modality of each row with probability `rate`, but never all of them.

    Args:
        present: bool, shape (n, modalities).
        rate: Probability in [0, 1).
        draw: Gives uniform random numbers in [0, 1) in the shape of a tensor.

    Returns:
        bool, shape (n, modalities). A row that would lose everything gets one of its modalities
        back, drawn at random; a row that has none keeps none.
    """
    kept = present & (draw(present) >= rate)
    drawn = draw(present).masked_fill(~present, -1.0)
    spared = torch.zeros_like(kept).scatter_(-1, drawn.argmax(dim=-1, keepdim=True), True)
    lost_all = ~kept.any(dim=-1, keepdim=True)
    return torch.where(lost_all, spared & present, kept)


def _layer(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(dropout)
    )
