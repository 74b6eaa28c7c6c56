"""The way to a device and back: batches up, embeddings down, beside what the device computes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

Fetch = Callable[[], np.ndarray]
"""Waits until an array is on the host and returns it."""


class Transfers(Protocol):
    """How tensors come to a device and arrays come back."""

    def upload(self, host: Tensor) -> Tensor:
        """The tensor on the device, for use in the current stream."""

    def download(self, tensor: Tensor) -> Fetch:
        """Begins to fetch a tensor of the device."""

    def snapshot(self, tensors: Mapping[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
        """Begins to copy tensors as they are now; the call of what is returned waits for it."""

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Memory of the host that `upload` copies from without delay."""


class Direct:
    """Plain copies that are waited for: a CPU, MPS."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def upload(self, host: Tensor) -> Tensor:
        """The tensor on the device."""
        return host.to(self._device)

    def download(self, tensor: Tensor) -> Fetch:
        """Fetches at once."""
        array = tensor.cpu().numpy()
        return lambda: array

    def snapshot(self, tensors: Mapping[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
        """Copies at once."""
        copies = {name: x.detach().cpu().clone() for name, x in tensors.items()}
        return lambda: copies

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Ordinary memory."""
        return torch.empty(shape, dtype=dtype)


class Streamed:
    """CUDA: copies in page-locked memory, each way in a stream of its own.

    The current stream waits for what was uploaded, on the device and not on the host. PyTorch's
    allocators give memory to somebody else only when the streams that use it, which are told to
    them here, are done with it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up = torch.cuda.Stream(device)
        self._down = torch.cuda.Stream(device)

    def upload(self, host: Tensor) -> Tensor:
        """The tensor on the device; the host does not wait where the tensor is page-locked."""
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._up):
            there = host.to(self._device, non_blocking=True)
        computing.wait_stream(self._up)
        there.record_stream(computing)
        return there

    def download(self, tensor: Tensor) -> Fetch:
        """Begins to fetch; only the call of what is returned waits."""
        here = self.host_buffer(tuple(tensor.shape), tensor.dtype)
        self._down.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._down):
            here.copy_(tensor, non_blocking=True)
            tensor.record_stream(self._down)
            arrived = torch.cuda.Event()
            arrived.record(self._down)

        def fetch() -> np.ndarray:
            arrived.synchronize()
            return here.numpy()

        return fetch

    def snapshot(self, tensors: Mapping[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
        """Begins to copy, in the current stream: what changes the tensors there comes later."""
        copies = {}
        for name, tensor in tensors.items():
            here = torch.empty_like(tensor.detach(), device="cpu", pin_memory=True)
            copies[name] = here.copy_(tensor.detach(), non_blocking=True)
        copied = torch.cuda.Event()
        copied.record(torch.cuda.current_stream(self._device))

        def fetch() -> dict[str, Tensor]:
            copied.synchronize()
            return copies

        return fetch

    def host_buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Page-locked memory, which PyTorch keeps and gives again."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)


@functools.lru_cache(maxsize=16)
def transfers_of(device: torch.device) -> Transfers:
    """The transfers of a device, the same for all networks on it."""
    return Streamed(device) if device.type == "cuda" else Direct(device)


class Batch:
    """Squares of one geometry; they go to the device once, however many networks look at them."""

    def __init__(self, squares: Sequence[np.ndarray]) -> None:
        """Takes squares (size, size, 3) of uint8."""
        self._squares = squares
        self._there: Tensor | None = None

    def __len__(self) -> int:
        return len(self._squares)

    def on(self, transfers: Transfers) -> Tensor:
        """The squares on a device, always the same one: uint8 (n, size, size, 3)."""
        if self._there is None:
            shape = (len(self), *self._squares[0].shape)
            host = transfers.host_buffer(shape, torch.uint8)
            np.stack(self._squares, out=host.numpy())
            self._there = transfers.upload(host)
        return self._there
