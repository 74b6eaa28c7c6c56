"""Checkpoints, written beside the training where a card computes, and at once elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor

from extractor.finetune.checkpoint import Checkpoint, CheckpointFolder
from extractor.finetune.state import TrainingState
from extractor.transfers import transfers_of

_Fetch = Callable[[], dict[str, Tensor]]


class Saver:
    """Saves states after their epochs, in order; all are saved when its block ends.

    Beside a card at most one is being written: it is the state of its epoch, whatever is trained
    meanwhile, and a kill loses at most that one.
    """

    def __init__(
        self, checkpoints: CheckpointFolder, device: torch.device, beside: bool | None = None
    ) -> None:
        """Saves nothing yet.

        Args:
            checkpoints: Where states go.
            device: Where they are.
            beside: Whether a thread writes; by default where the device is CUDA.
        """
        self._checkpoints = checkpoints
        self._transfers = transfers_of(device)
        beside = device.type == "cuda" if beside is None else beside
        self._pool = ThreadPoolExecutor(1) if beside else None
        self._writing: Future[None] | None = None

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._finish()
        finally:
            if self._pool is not None:
                self._pool.shutdown()

    def save(self, state: TrainingState, best: int | None) -> None:
        """Saves the state after the last epoch of its history.

        Args:
            state: Of the training.
            best: Number of the epoch, if it is the best so far.

        Raises:
            OSError: This state, or the one before, cannot be written.
        """
        checkpoint = state.capture()
        kept = {} if best is None else state.kept.trunk.state_dict()
        if self._pool is None:
            self._write(checkpoint, best, kept)
            return
        self._finish()
        fetches = self._transfers.snapshot(checkpoint.tensors), self._transfers.snapshot(kept)
        self._writing = self._pool.submit(self._fetch_and_write, checkpoint, best, *fetches)

    def _fetch_and_write(
        self, checkpoint: Checkpoint, best: int | None, tensors: _Fetch, kept: _Fetch
    ) -> None:
        self._write(dataclasses.replace(checkpoint, tensors=tensors()), best, kept())

    def _write(self, checkpoint: Checkpoint, best: int | None, kept: dict[str, Tensor]) -> None:
        if best is not None:
            self._checkpoints.save_best(best, kept)
        self._checkpoints.save(checkpoint)

    def _finish(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
