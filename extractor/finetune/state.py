"""Everything that changes during a training, in memory and as a checkpoint."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import pydantic
import torch
from torch import Tensor

from extractor.epochs import Rates, RatesState
from extractor.finetune.checkpoint import Checkpoint, CheckpointRefused
from extractor.finetune.classifier import Classifier
from extractor.finetune.ema import WeightAverage
from featurestore.errors import name_some

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of a parameter


@dataclasses.dataclass(frozen=True)
class EpochRow:
    """One epoch of a training.

    Attributes:
        epoch: From 1.
        train_loss: Mean loss of augmented training images, with smoothed labels.
        validation_loss: Mean loss of validation images.
        validation_auroc: Over validation patients by their mean logit; selects the epoch and is
            no result: results are computed on patients that no choice has seen.
        learning_rate: Of the last block group, at the end of the epoch.
        head_learning_rate: Of the head, at the end of the epoch.
        released_groups: Block groups that were trained, counted from the output.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_auroc: float
    learning_rate: float
    head_learning_rate: float
    released_groups: int

    @property
    def score(self) -> tuple[float, float]:
        """What epochs are compared by: AUROC, and between equal ones the lower loss."""
        return self.validation_auroc, -self.validation_loss


class _Record(pydantic.BaseModel):
    """The JSON part of a checkpoint."""

    model_config = pydantic.ConfigDict(extra="forbid")

    rates: RatesState
    average_steps: int
    loss_scaler: dict[str, float | int]
    history: list[EpochRow]


@dataclasses.dataclass
class TrainingState:
    """Model, optimiser and what else a training remembers from epoch to epoch.

    Attributes:
        model: What is trained.
        optimiser: AdamW over all its parameters.
        rates: Schedule of the learning rates.
        scaler: Loss scaling of float16; disabled elsewhere.
        average: Moving average of the weights, or None.
        history: Epochs done.
    """

    model: Classifier
    optimiser: torch.optim.Optimizer
    rates: Rates
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    history: list[EpochRow] = dataclasses.field(default_factory=list)

    @property
    def kept(self) -> Classifier:
        """The model that is validated and kept: the average where there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def best(self) -> EpochRow | None:
        """The best epoch so far, the first among equals."""
        return max(self.history, key=lambda row: row.score, default=None)

    def capture(self) -> Checkpoint:
        """Returns the state after the last epoch of the history."""
        tensors = {
            f"{part}.{name}": tensor
            for part, module in self._modules.items()
            for name, tensor in module.state_dict().items()
        }
        for name, parameter in self.model.named_parameters():
            for moment, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{moment}.{name}"] = value
        record = _Record(
            rates=self.rates.state(),
            average_steps=0 if self.average is None else self.average.steps,
            loss_scaler=self.scaler.state_dict(),
            history=self.history,
        )
        assert self.best is not None
        return Checkpoint(
            epoch=len(self.history),
            tensors=tensors,
            record=record.model_dump(mode="json"),
            best_epoch=self.best.epoch,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Takes over a checkpoint.

        Raises:
            CheckpointRefused: It does not fit; nothing was changed.
        """
        record = _read_record(checkpoint)
        parts = _by_part(checkpoint.tensors)
        moments = parts.pop("optimiser", {})
        if parts.keys() != self._modules.keys():
            raise CheckpointRefused(f"it holds {name_some(sorted(parts))}")
        for part, module in self._modules.items():
            _require_fit(parts[part], module.state_dict(), whole=True)
        _require_fit(moments, self._moments_expected(), whole=False)
        if any(count < len(_MOMENTS) for count in _names_of(moments).values()):
            raise CheckpointRefused("moments of the optimiser are missing")
        rates = len(self.optimiser.param_groups)
        if len(record.rates.lr) != rates:
            raise CheckpointRefused(f"it has {len(record.rates.lr)} learning rates, not {rates}")
        for part, module in self._modules.items():
            module.load_state_dict(parts[part])
        self._take_moments(moments)
        self._take_record(record)

    @property
    def _modules(self) -> dict[str, Classifier]:
        averaged = {} if self.average is None else {"average": self.average.module}
        return {"model": self.model} | averaged

    def _take_moments(self, moments: Mapping[str, Tensor]) -> None:
        self.optimiser.state.clear()
        for name, parameter in self.model.named_parameters():
            own = {m: moments[f"{m}.{name}"] for m in _MOMENTS if f"{m}.{name}" in moments}
            if own:  # else the parameter was not released yet
                self.optimiser.state[parameter] = {
                    # In the memory layout of the parameter, so that kernels round as before.
                    moment: torch.empty_like(like).copy_(own[moment])
                    for moment, like in _moments_of(parameter).items()
                }

    def _take_record(self, record: _Record) -> None:
        self.rates.restore(record.rates)
        if self.average is not None:
            self.average.steps = record.average_steps
        if record.loss_scaler:
            self.scaler.load_state_dict(record.loss_scaler)
        self.history[:] = record.history

    def _moments_expected(self) -> dict[str, Tensor]:
        return {
            f"{moment}.{name}": like
            for name, parameter in self.model.named_parameters()
            for moment, like in _moments_of(parameter).items()
        }


def _moments_of(parameter: Tensor) -> dict[str, Tensor]:
    """What AdamW keeps of a parameter: name, and a tensor of that shape, type and layout."""
    step = torch.empty((), dtype=torch.float32, device=parameter.device)
    return {"step": step, "exp_avg": parameter.detach(), "exp_avg_sq": parameter.detach()}


def _names_of(moments: Mapping[str, Tensor]) -> Counter[str]:
    """How many moments there are of each parameter."""
    return Counter(name.partition(".")[2] for name in moments)


def _by_part(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by the first part of their names, which is cut off."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    return parts


def _require_fit(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], whole: bool) -> None:
    odd = [
        name
        for name, tensor in given.items()
        if name not in expected
        or tensor.shape != expected[name].shape
        or tensor.dtype != expected[name].dtype
    ]
    if odd:
        raise CheckpointRefused(f"tensors are those of another model: {name_some(odd, 3)}")
    if whole and len(given) < len(expected):
        raise CheckpointRefused(f"{len(expected) - len(given)} tensors are missing")


def _read_record(checkpoint: Checkpoint) -> _Record:
    try:
        record = _Record.model_validate(checkpoint.record)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointRefused(f"its state is malformed: {where}: {first['msg']}") from None
    if [row.epoch for row in record.history] != list(range(1, checkpoint.epoch + 1)):
        raise CheckpointRefused("its history is not that of its epochs")
    if max(record.history, key=lambda row: row.score).epoch != checkpoint.best_epoch:
        raise CheckpointRefused("its best epoch is not that of its history")
    return record
