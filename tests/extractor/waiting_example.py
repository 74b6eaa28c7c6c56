"""A watch that fails where the host would wait for a device, and a card that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

CARD = torch.device("cuda:0")

_WAIT = {
    f"aten.{name}"
    for name in (
        "_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal",
        "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave",
    )
}  # fmt: skip
_MASKED = {"aten.index", "aten.index_put", "aten.index_put_"}


class Waited(Exception):
    """On a device the host would have waited here."""


class NothingWaits(TorchDispatchMode):
    """Raises `Waited` where a value of a tensor, or a size that depends on values, is asked for."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        packet = str(function.overloadpacket)
        masked = packet in _MASKED and any(
            one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]
        )
        if packet in _WAIT or masked:
            raise Waited(str(function))
        return function(*args, **(kwargs or {}))


@contextmanager
def card_without_values() -> Iterator[None]:
    """Tensors made inside have a shape and a place, which may be a card that this machine lacks.

    Operations that mix devices fail as they do on a card, and so does whoever asks for a value.
    """
    with FakeTensorMode():
        yield


def on_card(module: nn.Module) -> nn.Module:
    """Moves a module to the card inside of `card_without_values`; its values are lost."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(torch.empty(parameter.shape, device=CARD))
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CARD)
    return module
