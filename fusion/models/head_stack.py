"""Several heads of one shape as one program: parameters stacked, a dimension of heads in front.

A step of one head on 64 rows is some fifty small kernels, and starting them takes longer than
computing them. Stacked heads start them once for all.

On a CPU what a head computes has the same bits in any company, as long as rows of a batch and
widths of layers fill vector registers (`fills_registers`): products are made one a head, nothing is
summed over heads, and no element is left to the scalar end of a vectorised loop, which may round
differently. Other batches are for each head alone (`training_together`).
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.adamw import adamw

from fusion.config import HeadConfig
from fusion.models.heads import FusionHead
from fusion.models.training import mixed_precision

LANES = 32
"""Numbers that a vectorised loop takes at a time, at most: two registers of AVX-512."""


@dataclasses.dataclass(frozen=True)
class StackedBatch:
    """As many rows for each head.

    Attributes:
        shown: For each modality (heads, n, width), zeros in rows that lack it.
        mask: Whether a row has each modality; bool (heads, n, modalities).
        y: Outcomes; (heads, n).
        weights: Of the rows; (heads, n).
        noise: Random numbers, uniform in [0, 1); (heads, n, `StackedHeads.noise_width`).
    """

    shown: Mapping[str, Tensor]
    mask: Tensor
    y: Tensor
    weights: Tensor
    noise: Tensor


def fills_registers(config: HeadConfig) -> bool:
    """Whether all layers of such heads have widths that fill vector registers."""
    return all(width % LANES == 0 for width in (config.projection, *config.hidden))


class StackedHeads:
    """Heads of one shape, and what AdamW remembers of each.

    All that a head learns lies in one row, parts of equal learning rate side by side, so that a
    step of AdamW is one call for all parts of one rate.

    Attributes:
        noise_width: Random numbers that a row of a training step needs.
    """

    def __init__(self, plan: _Plan, values: Sequence[Tensor], moments: Sequence[Tensor]) -> None:
        """Takes tensors, heads first, as they are.

        Args:
            plan: What the heads have in common.
            values: What is learned (heads, numbers), and by name what is not.
            moments: Running means of gradients and of their squares, and steps done (heads, parts).
        """
        self.noise_width = plan.noise.width
        self._plan = plan
        self._tensors = [*values, *moments]
        self._learned, self._others = values[0], dict(zip(plan.others, values[1:], strict=True))
        self._leaves = {
            name: self._learned[:, start : start + shape.numel()].view(-1, *shape)
            for name, (start, shape) in plan.places.items()
        }

    @functools.cached_property
    def _gradients(self) -> Tensor:
        return torch.zeros_like(self._learned)

    @functools.cached_property
    def _parts(self) -> list[list[tuple[Tensor, ...]]]:
        """Of each head and part: what is learned, gradients, both means, steps; cut once."""
        *means, steps = self._tensors[-3:]
        wide = self._learned, self._gradients, *means
        return [
            [(*(one[k, p] for one in wide), steps[k, i]) for i, p in enumerate(self._plan.parts)]
            for k in range(len(steps))
        ]

    @classmethod
    def of(cls, heads: Sequence[FusionHead], device: torch.device) -> Self:
        """Stacks copies of heads, which must have one architecture, on a device."""
        plan = _Plan.of(heads[0])
        states = [head.state_dict() for head in heads]
        stacked = {
            name: torch.stack([_outward(name, state[name]) for state in states]).to(device)
            for name in states[0]
        }
        learned = torch.zeros((len(heads), plan.size), device=device)
        for name, (start, shape) in plan.places.items():
            learned[:, start : start + shape.numel()] = stacked[name].flatten(1)
        others = [stacked[name] for name in plan.others]
        steps = torch.zeros((len(heads), len(plan.parts)), device=device)
        moments = [torch.zeros_like(learned), torch.zeros_like(learned), steps]
        return cls(plan, [learned, *others], moments)

    @property
    def values(self) -> list[Tensor]:
        """All that a head is, heads first: what is learned, and what is not."""
        return self._tensors[:-3]

    def take(self, heads: Tensor) -> StackedHeads:
        """Some of the heads, copied; an integer index."""
        found = [one[heads] for one in self._tensors]
        return StackedHeads(self._plan, found[:-3], found[-3:])

    def put(self, heads: Tensor, taken: StackedHeads) -> None:
        """Writes heads that were copied back to their places."""
        for own, new in zip(self._tensors, taken._tensors, strict=True):
            own[heads] = new

    def state(self, values: Sequence[Tensor], place: int) -> dict[str, Tensor]:
        """State of one head as its `load_state_dict` takes it.

        Args:
            values: As `values`, of heads of this shape.
            place: Of the head among them.
        """
        row = values[0][place]
        learned = {
            name: row[start : start + shape.numel()].view(shape)
            for name, (start, shape) in self._plan.places.items()
        }
        others = {n: v[place] for n, v in zip(self._plan.others, values[1:], strict=True)}
        return {name: _inward(name, value) for name, value in {**learned, **others}.items()}

    def logits(self, shown: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        """Logits without dropout or hidden modalities; shape (heads, n).

        Args:
            shown: As in `StackedBatch`.
            mask: As in `StackedBatch`.
        """
        self._plan.module.eval()
        with torch.inference_mode():
            return self._call(self._leaves, shown, mask)

    def step(
        self, batch: StackedBatch, rates: Sequence[Sequence[float]], weight_decay: float
    ) -> Tensor:
        """One step of AdamW of every head on the mean loss of its own rows.

        Args:
            batch: The rows.
            rates: Of each head the learning rate of every part (`parts_of`).
            weight_decay: The same for all.

        Returns:
            Sum of the losses of each head's rows; shape (heads,).
        """
        self._plan.module.train()
        self._plan.noise.fill(batch.noise)
        leaves = {name: one.detach().requires_grad_() for name, one in self._leaves.items()}
        with mixed_precision(batch.y.device):
            logits = self._call(leaves, batch.shown, batch.mask)
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), batch.y, weight=batch.weights, reduction="none"
        )
        found = torch.autograd.grad(losses.mean(dim=1).sum(), list(leaves.values()))
        with torch.no_grad():
            flat = [gradient.flatten(1) for gradient in found]
            torch.cat(flat, dim=1, out=self._gradients[:, : self._plan.used])
            self._update(rates, weight_decay)
        return losses.detach().sum(dim=1)

    def _update(self, rates: Sequence[Sequence[float]], weight_decay: float) -> None:
        by_rate: dict[float, list[tuple[Tensor, ...]]] = {}
        for own_rates, own in zip(rates, self._parts, strict=True):
            for rate, part in zip(own_rates, own, strict=True):
                by_rate.setdefault(rate, []).append(part)
        for rate, parts in by_rate.items():
            learned, gradients, first, second, steps = (list(t) for t in zip(*parts, strict=True))
            adamw(
                learned, gradients, first, second, [], steps,
                fused=True, amsgrad=False, beta1=0.9, beta2=0.999, lr=rate,
                weight_decay=weight_decay, eps=1e-8, maximize=False,
            )  # fmt: skip

    def _call(
        self, leaves: Mapping[str, Tensor], shown: Mapping[str, Tensor], mask: Tensor
    ) -> Tensor:
        values = {f"head.{name}": value for name, value in {**self._others, **leaves}.items()}
        found: Tensor = functional_call(self._plan.module, values, (shown, mask))
        return found


def parts_of(head: FusionHead) -> list[list[str]]:
    """Names of what a head learns in a stack, by learning rate, in the order of its rates.

    Biases that batch normalisation takes away again are not learned: their gradients are rounding,
    of which AdamW makes whole steps, and rounding is all that a company may change on a card.
    """
    names = {p: name for name, p in head.named_parameters() if p.requires_grad}
    for layer in head.modules():
        if isinstance(layer, nn.Sequential):
            for linear, after in zip(layer, list(layer)[1:], strict=False):
                if isinstance(linear, nn.Linear) and isinstance(after, nn.BatchNorm1d):
                    names.pop(linear.bias, None)
    groups = head.parameter_groups(1.0)
    return [[names[p] for p in group["params"] if p in names] for group in groups]


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What heads of one shape have in common.

    Attributes:
        module: Computes logits.
        noise: Where its layers get random numbers.
        places: Of what is learned, by name, where it begins in a row, and its shape.
        parts: Slices of a row that have a learning rate of their own, in the order of `parts_of`.
        others: Names of what is not learned.
        used: Numbers of a row.
        size: With those that fill its end up.
    """

    module: _Fused
    noise: _Noise
    places: dict[str, tuple[int, torch.Size]]
    parts: list[slice]
    others: list[str]
    used: int
    size: int

    @classmethod
    def of(cls, head: FusionHead) -> Self:
        one, noise = copy.deepcopy(head), _Noise()
        _stack_layers(one, noise)
        noise.width += 2 * len(one.modalities)  # a head that hides modalities draws twice
        one.draw = noise.for_rows
        state = {name: _outward(name, value) for name, value in head.state_dict().items()}
        groups = parts_of(head)
        places: dict[str, tuple[int, torch.Size]] = {}
        parts = [slice(0)] * len(groups)
        start = 0
        for i in sorted(range(len(groups)), key=lambda i: i == 0):  # the plain ones last, and
            first = start
            # of them the smallest, so that all large ones begin where memory is aligned.
            for name in sorted(groups[i], key=lambda name: -state[name].numel()):
                places[name] = start, state[name].shape
                start += state[name].numel()
            parts[i] = slice(first, start)
        others = [name for name in state if name not in places]
        size = -(-start // LANES) * LANES
        return cls(_Fused(one), noise, places, parts, others, start, size)


class _Fused(nn.Module):
    """What is called of a head: `fused`."""

    def __init__(self, head: FusionHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, shown: Mapping[str, Tensor], mask: Tensor) -> Tensor:
        return self.head.fused(shown, mask)


class _Noise:
    """The random numbers of one step, handed out in the order in which layers ask for them."""

    def __init__(self) -> None:
        self.width = 0
        self._numbers = torch.empty(0)
        self._taken = 0

    def fill(self, numbers: Tensor) -> None:
        """Takes the numbers of a step; shape (heads, n, width)."""
        self._numbers, self._taken = numbers, 0

    def for_rows(self, like: Tensor) -> Tensor:
        """The next numbers, for a tensor (heads, n, w)."""
        start = self._taken
        self._taken += like.shape[-1]
        return self._numbers[..., start : self._taken]


class _Linear(nn.Module):
    """A linear layer a head; takes (heads, n, inputs)."""

    def __init__(self, one: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = one.weight, one.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return torch.baddbmm(self.bias[:, None], x, self.weight)
        each = zip(self.bias.unbind(), x.unbind(), self.weight.unbind(), strict=True)
        return torch.stack([torch.addmm(bias, rows, weight) for bias, rows, weight in each])


class _BatchNorm(nn.Module):
    """Batch normalisation a head: that of all their dimensions, side by side."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, one: nn.BatchNorm1d) -> None:
        super().__init__()
        self.weight, self.bias = one.weight, one.bias
        for name, value in one.named_buffers():
            self.register_buffer(name, value)
        self._momentum, self._eps = one.momentum or 0.0, one.eps

    def forward(self, x: Tensor) -> Tensor:
        heads, n, width = x.shape
        if self.training:
            self.num_batches_tracked.add_(1)
        flat = nn.functional.batch_norm(
            x.transpose(0, 1).reshape(n, heads * width),
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.reshape(-1),
            self.bias.reshape(-1),
            self.training,
            self._momentum,
            self._eps,
        )
        return flat.view(n, heads, width).transpose(0, 1).contiguous()


class _Dropout(nn.Module):
    """Dropout by numbers that are given."""

    def __init__(self, rate: float, noise: _Noise) -> None:
        super().__init__()
        self._rate, self._noise = rate, noise

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self._rate == 0:
            return x
        return x * (self._noise.for_rows(x) >= self._rate).to(x.dtype).mul_(1 / (1 - self._rate))


def _stack_layers(module: nn.Module, noise: _Noise, width: int = 0) -> int:
    """Replaces layers by those of many heads; names of parameters stay.

    Returns:
        Outputs of the last layer.
    """
    for name, layer in module.named_children():
        if isinstance(layer, nn.Linear):
            width = layer.out_features
            setattr(module, name, _Linear(layer))
        elif isinstance(layer, nn.BatchNorm1d):
            setattr(module, name, _BatchNorm(layer))
        elif isinstance(layer, nn.Dropout):
            noise.width += width if layer.p else 0
            setattr(module, name, _Dropout(layer.p, noise))
        else:
            width = _stack_layers(layer, noise, width)
    return width


def _outward(name: str, value: Tensor) -> Tensor:
    """How a head's own value is stacked.

    A parameter that rows share, such as a mask token, gets a dimension of rows. Weights are kept
    as inputs by outputs: so their gradients come, and copying them would take longer than the step.
    """
    if "." not in name:
        return value[None]
    return value.T if value.ndim == 2 else value


def _inward(name: str, value: Tensor) -> Tensor:
    if "." not in name:
        return value[0]
    return value.T if value.ndim == 2 else value
