"""Epoch after epoch: history, the best of them, patience, and learning rates that follow.

Every training here selects an epoch by patients that it does not learn from. What an epoch does is
the caller's; what is common to all trainings is here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import torch

LEAST_RATE_SHARE = 0.01
"""Reductions on plateaus stop at this share of the initial rates."""

Row = TypeVar("Row")
Score = tuple[float, float]
"""What epochs are compared by: AUROC, and between equal ones the negative loss."""

WORST: Score = (-math.inf, -math.inf)


class RateSettings(Protocol):
    """How learning rates change over a training."""

    @property
    def warmup_epochs(self) -> float:
        """Epochs over which they rise linearly; parts are allowed."""
        ...

    @property
    def plateau_patience(self) -> int:
        """Epochs without a better AUROC before they are reduced."""
        ...

    @property
    def plateau_factor(self) -> float:
        """What they are then multiplied by."""
        ...


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

    def __init__(
        self, optimiser: torch.optim.Optimizer, settings: RateSettings, threshold: float = 0.0
    ) -> None:
        """Remembers the rates that the groups have as their full ones (`initial_lr`).

        Args:
            optimiser: Whose rates are set.
            settings: How they change.
            threshold: Share by which a score must be better than the best to be no plateau.
        """
        self._optimiser = optimiser
        self._warmup_epochs = settings.warmup_epochs
        for group in optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser,
            mode="max",
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            threshold=threshold,
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


class EpochLoop(Generic[Row]):
    """The epochs of one training.

    Iterating gives the number of each epoch that is still to be run; each is answered by `add`.
    The training ends after the last epoch, or when `patience` epochs brought nothing better.

    Attributes:
        history: A record of each epoch done.
        best_epoch: The best one, the first among equals; 0 is the start.
    """

    def __init__(
        self,
        epochs: int,
        patience: int,
        rates: Rates,
        start: Score = WORST,
        history: list[Row] | None = None,
    ) -> None:
        """Begins before the first epoch.

        Args:
            epochs: Most epochs.
            patience: Epochs without a better score before the training ends.
            rates: Learning rates, told of every score.
            start: Score of the weights before the first epoch, if they may be kept.
            history: Where records go; empty.
        """
        self._epochs = epochs
        self._patience = patience
        self._rates = rates
        self._best = start
        self._counted_from = 0
        self._done = 0
        self.best_epoch = 0
        self.history: list[Row] = [] if history is None else history

    def __iter__(self) -> Iterator[int]:
        """Numbers of the epochs to run, from 1."""
        while self._done < self._epochs and not self._is_exhausted():
            expected = self._done + 1
            yield expected
            if self._done != expected:
                raise RuntimeError(f"epoch {expected} was not added")

    def add(self, row: Row, score: Score, settled: bool = True) -> bool:
        """Takes an epoch into the history and lets the rates follow its score.

        Args:
            row: Its record.
            score: What epochs are compared by.
            settled: Whether all that is to be trained was; before that neither patience nor
                plateaus count.

        Returns:
            Whether the epoch is the best so far.
        """
        self.history.append(row)
        better = self._compare(score, settled)
        if settled:
            self._rates.after_epoch(self._done, score[0])
        return better

    def resume(self, scores: list[Score], settled: list[bool]) -> None:
        """Takes over epochs that an interrupted training did; history and rates are restored.

        Args:
            scores: Of every epoch.
            settled: See `add`; of every epoch.
        """
        for score, is_settled in zip(scores, settled, strict=True):
            self._compare(score, is_settled)

    def _compare(self, score: Score, settled: bool) -> bool:
        self._done += 1
        better = score > self._best
        if better:
            self._best, self.best_epoch = score, self._done
        if not settled:
            self._counted_from = self._done
        return better

    def _is_exhausted(self) -> bool:
        return self._done - max(self.best_epoch, self._counted_from) >= self._patience
