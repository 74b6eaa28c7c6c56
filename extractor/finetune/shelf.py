"""Decoded pictures for a device: all of them in its memory where they fit, else batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from extractor import memory
from extractor.transfers import Transfers, transfers_of

_CHUNK = 256  # pictures that are copied at a time


class Shelf(Protocol):
    """Where squares are taken from."""

    def fetch(self, rows: np.ndarray) -> Tensor:
        """Begins to take pictures, in any thread: what `give` asks for, in memory of the host."""

    def give(self, fetched: Tensor) -> Tensor:
        """Pictures on the device: uint8 (n, 3, size, size), of any memory layout."""


class Resident:
    """All squares lie on the device; only numbers of rows travel."""

    def __init__(self, squares: Sequence[np.ndarray], device: torch.device) -> None:
        """Copies squares (size, size, 3) of uint8, a part at a time."""
        self._transfers = transfers_of(device)
        shape = (len(squares), *squares[0].shape)
        self._all = torch.empty(shape, dtype=torch.uint8, device=device)
        for start in range(0, len(squares), _CHUNK):
            part = squares[start : start + _CHUNK]
            there = self._transfers.upload(_stacked(part, shape[1:], self._transfers))
            self._all[start : start + len(part)] = there

    def fetch(self, rows: np.ndarray) -> Tensor:
        """Numbers of the rows."""
        numbers = self._transfers.host_buffer((len(rows),), torch.int64)
        numbers.numpy()[:] = rows
        return numbers

    def give(self, fetched: Tensor) -> Tensor:
        """The pictures of those rows."""
        return self._all.index_select(0, self._transfers.upload(fetched)).permute(0, 3, 1, 2)


class OnHost:
    """Squares stay in memory of the host, or in a file that is mapped, and travel when needed."""

    def __init__(self, squares: Sequence[np.ndarray], device: torch.device) -> None:
        """Takes squares (size, size, 3) of uint8."""
        self._squares = squares
        self._transfers = transfers_of(device)

    def fetch(self, rows: np.ndarray) -> Tensor:
        """The pictures, in memory that is copied from without delay."""
        chosen = [self._squares[row] for row in rows]
        return _stacked(chosen, self._squares[0].shape, self._transfers)

    def give(self, fetched: Tensor) -> Tensor:
        """The pictures on the device."""
        return self._transfers.upload(fetched).permute(0, 3, 1, 2)


def shelf_of(squares: Sequence[np.ndarray], device: torch.device) -> Shelf:
    """The shelf of a device: CUDA's holds all squares if a share of its free memory takes them.

    Args:
        squares: Arrays (size, size, 3) of uint8, all of one size; at least one.
        device: Where pictures are needed.
    """
    needed = len(squares) * squares[0].nbytes
    if device.type == "cuda" and needed <= memory.DATA_SHARE * memory.free_memory(device):
        return Resident(squares, device)
    return OnHost(squares, device)


def take(shelf: Shelf, rows: np.ndarray) -> Tensor:
    """Pictures on the device: uint8 (n, 3, size, size)."""
    return shelf.give(shelf.fetch(rows))


def _stacked(squares: Sequence[np.ndarray], shape: tuple[int, ...], transfers: Transfers) -> Tensor:
    host = transfers.host_buffer((len(squares), *shape), torch.uint8)
    if squares:
        np.stack(squares, out=host.numpy())
    return host
