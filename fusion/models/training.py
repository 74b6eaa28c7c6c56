"""Training of fusion heads from features in memory.

A head sees some thousand rows of some thousand numbers: everything fits into memory, an epoch is
one permutation and a few slices, and no loader stands between. The outer test part never comes
here; early stopping and the learning rate follow an inner validation part.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from extractor.epochs import EpochLoop, Rates, Score
from featurestore.errors import DataError
from fusion import metrics
from fusion.config import HeadConfig
from fusion.ledger import witness
from fusion.metrics import mean_logits, sigmoid
from fusion.models.heads import FusionHead
from fusion.models.late_input import LateInput, batches_of, read_now
from fusion.models.tiles import TileBags

THRESHOLD = 0.5
"""Probability at which the curves' F1 and accuracy are taken; no decision depends on it."""

PLATEAU_THRESHOLD = 1e-4
"""Share by which an epoch's AUROC must be better than the best to be no plateau."""


@dataclasses.dataclass(frozen=True)
class HeadRates:
    """Learning rates of a head: halved on plateaus (see `extractor.epochs.RateSettings`)."""

    plateau_patience: int
    plateau_factor: float = 0.5
    warmup_epochs: float = 0.0


@dataclasses.dataclass(frozen=True)
class HeadData:
    """Rows for a head.

    Attributes:
        inputs: Per modality a finite float32 tensor (n, width), the bags of n rows, or n rows of a
            file.
        present: Per modality whether the row has it; bool (n,).
        y: Outcome 0.0 or 1.0; float32 (n,).
        patient_ids: Patient of each row; shape (n,).
    """

    inputs: Mapping[str, Tensor | TileBags | LateInput]
    present: Mapping[str, Tensor]
    y: Tensor
    patient_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> HeadData:
        """Returns the rows on a device."""
        return HeadData(
            {name: x.to(device) for name, x in self.inputs.items()},
            {name: x.to(device) for name, x in self.present.items()},
            self.y.to(device),
            self.patient_ids,
        )

    @property
    def dims(self) -> dict[str, int]:
        """Width of each modality's input; of bags, of a tile."""
        return {name: x.shape[1] for name, x in self.inputs.items()}

    @property
    def bag_names(self) -> list[str]:
        """Modalities that are bags of tiles."""
        return [name for name, x in self.inputs.items() if isinstance(x, TileBags)]

    def take(self, rows: np.ndarray) -> HeadData:
        """Returns the rows given by an integer index, in that order."""
        index = torch.from_numpy(rows).to(self.y.device)
        return HeadData(
            {name: x[index] for name, x in self.inputs.items()},
            {name: x[index] for name, x in self.present.items()},
            self.y[index],
            self.patient_ids[rows],
        )

    def row_weights(self) -> Tensor:
        """Weights with mean 1 in which the rows of every patient sum to the same; float32 (n,)."""
        _, inverse, counts = self.patients
        weights = 1.0 / counts[inverse]
        return torch.as_tensor(weights / weights.mean(), dtype=torch.float32, device=self.y.device)

    @functools.cached_property
    def patients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the sorted patients a row of each, of the rows the patient's place, and rows of each.

        Looked up once: an epoch of a small head is shorter than sorting ids.
        """
        _, first, inverse, counts = np.unique(
            self.patient_ids.astype(str), return_index=True, return_inverse=True, return_counts=True
        )
        return first, inverse, counts


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a training did.

    Attributes:
        history: One record an epoch: epoch, train_loss, validation_loss, validation_auroc,
            validation_auprc, validation_f1, validation_accuracy, learning_rate. Validation
            figures are over patients; F1 and accuracy at probability 0.5.
        best_epoch: Epoch (from 1) whose weights the head has now.
        notice: What became of the passes where memory ran out, for people; empty if nothing.
    """

    history: list[dict[str, float]]
    best_epoch: int
    notice: str = ""


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds torch (initialisation, dropout) and restores the caller's random state at the end."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def train_head(
    head: FusionHead, training: HeadData, validation: HeadData, config: HeadConfig, seed: int
) -> TrainingResult:
    """Fits a head in place and leaves it with the weights of its best epoch, in evaluation mode.

    AdamW on the binary cross-entropy, every patient counted once; the learning rate is halved when
    the inner-validation AUROC stands still; training ends when it has not improved for
    `config.patience` epochs. Between epochs of equal AUROC the one with the lower validation loss
    is better: with a few dozen validation patients AUROC moves in steps and stands on plateaus,
    where the loss still tells a fit that improves from one that grows overconfident.

    Args:
        head: The head; it may live on any device.
        training: Rows to learn from; on the device of the head.
        validation: Rows that end the training; patients of their own.
        config: Rates, sizes and patience.
        seed: Seed of the order of rows and of dropout.

    Raises:
        DataError: Training or validation has fewer than two rows or only one outcome.
    """
    begin_training(head, training, validation, config)
    device = training.y.device
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        head.parameter_groups(config.learning_rate), weight_decay=config.weight_decay, fused=True
    )
    rates = Rates(optimizer, HeadRates(config.plateau_patience), PLATEAU_THRESHOLD)
    epochs = EpochLoop[dict[str, float]](config.epochs, config.patience, rates)
    weights = training.row_weights()
    best_state = copy.deepcopy(head.state_dict())
    with seeded(seed, device):
        for epoch in epochs:
            rate = optimizer.param_groups[0]["lr"]
            train_loss = _run_epoch(head, training, weights, optimizer, config, generator)
            figures = validate(head, validation)
            row = {"epoch": float(epoch), "train_loss": train_loss, **figures}
            if epochs.add(row | {"learning_rate": rate}, selection_score(figures)):
                best_state = copy.deepcopy(head.state_dict())
    head.load_state_dict(best_state)
    head.eval()
    return TrainingResult(epochs.history, epochs.best_epoch)


def begin_training(
    head: FusionHead, training: HeadData, validation: HeadData, config: HeadConfig
) -> None:
    """Checks and notes who takes part, and lets the head start from the prevalence.

    Raises:
        DataError: Training or validation has fewer than two rows or only one outcome.
    """
    for name, part in (("training", training), ("inner validation", validation)):
        if len(part) < 2 or len(torch.unique(part.y)) < 2:
            raise DataError(
                f"the {name} part has {len(part)} rows, {int(part.y.sum())} of them events; a head "
                f"needs both outcomes in both parts: use fewer folds or more patients"
            )
    witness("head", "fitted on", training.patient_ids)
    witness("early stopping", "selected on", validation.patient_ids)
    weights = training.row_weights()
    head.start_from(0.5 if config.weighted_sampling else _prevalence(training, weights))


def predict_logits(head: FusionHead, data: HeadData) -> np.ndarray:
    """Logit of each row without dropout or hidden modalities; float64, shape (n,)."""
    head.eval()
    found = []
    with torch.inference_mode():
        for part in batches_of(data.inputs, len(data)):
            inputs = read_now({name: x[part] for name, x in data.inputs.items()})
            found.append(head(inputs, {name: x[part] for name, x in data.present.items()}))
    return torch.cat(found).double().cpu().numpy()


def validate(head: FusionHead, data: HeadData) -> dict[str, float]:
    """Loss over rows, every patient counted once, and metrics over patients."""
    return validation_figures(data, predict_logits(head, data))


def selection_score(figures: Mapping[str, float]) -> Score:
    """What epochs are compared by: AUROC, and between equal ones the lower loss."""
    return figures["validation_auroc"], -figures["validation_loss"]


def validation_figures(data: HeadData, logits: np.ndarray) -> dict[str, float]:
    """Loss over rows, every patient counted once, and metrics over patients.

    Args:
        data: Outcome and patient of the rows.
        logits: Logit of each row; shape (n,).
    """
    y = data.y.cpu().numpy().astype(float)
    weights = data.row_weights().cpu().numpy()
    loss = np.logaddexp(0.0, logits) - y * logits
    first, patient, counts = data.patients
    truth, score = y[first], mean_logits(sigmoid(logits), patient, counts)
    decision = (sigmoid(score) >= THRESHOLD).astype(float)
    return {
        "validation_loss": float((weights * loss).mean()),
        "validation_auroc": metrics.auroc(truth, score).item(),
        "validation_auprc": metrics.auprc(truth, score).item(),
        "validation_f1": metrics.f1(truth, decision).item(),
        "validation_accuracy": metrics.accuracy(truth, decision).item(),
    }


def _run_epoch(
    head: FusionHead,
    data: HeadData,
    weights: Tensor,
    optimizer: torch.optim.Optimizer,
    config: HeadConfig,
    generator: torch.Generator,
) -> float:
    """One pass; returns the mean loss over the rows it drew."""
    head.train()
    rows = draw_rows(data, weights, config, generator).to(data.y.device)
    # One gather an epoch, then slices: cheaper than a gather a batch.
    inputs = {name: x[rows] for name, x in data.inputs.items()}
    present = {name: x[rows] for name, x in data.present.items()}
    y = data.y[rows]
    row_weights = torch.ones_like(y) if config.weighted_sampling else weights[rows]
    total = torch.zeros((), device=y.device)
    for part in batches(len(rows), config.batch_size):
        with mixed_precision(y.device):
            logits = head(
                read_now({name: x[part] for name, x in inputs.items()}),
                {name: x[part] for name, x in present.items()},
            )
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), y[part], weight=row_weights[part], reduction="none"
        )
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        optimizer.step()
        total += losses.detach().sum()
    return float(total) / len(rows)


def draw_rows(
    data: HeadData, weights: Tensor, config: HeadConfig, generator: torch.Generator
) -> Tensor:
    """Order of rows of one epoch; weighted sampling draws both outcomes equally often."""
    n = len(data)
    if not config.weighted_sampling:
        return torch.randperm(n, generator=generator)
    y, chance = data.y.cpu().double(), weights.cpu().double()
    chance = chance * torch.where(y > 0, 1 / (chance * y).sum(), 1 / (chance * (1 - y)).sum())
    return torch.multinomial(chance, n, replacement=True, generator=generator)


def batches(n: int, size: int) -> list[slice]:
    """Slices of `size` rows; a last single row joins its neighbour, for batch normalisation."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in itertools.pairwise([*starts, n])]


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bfloat16 on a card that computes in it, without loss scaling; full precision elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _prevalence(data: HeadData, weights: Tensor) -> float:
    return float((weights * data.y).sum() / weights.sum())
