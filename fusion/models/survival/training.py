"""Training of fusion heads on times to an event.

As `fusion.models.training`, but a step is over patients, whose outputs are the means of their rows,
and a batch brings its own risk sets.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from torch import Tensor

from extractor.epochs import EpochLoop, Rates
from featurestore.errors import DataError
from fusion.config import HeadConfig
from fusion.ledger import witness
from fusion.metrics.survival import EVENT, harrell_c
from fusion.models.heads import FusionHead
from fusion.models.late_input import read_now
from fusion.models.survival.losses import TimesLoss
from fusion.models.survival.patients import Patients
from fusion.models.training import (
    PLATEAU_THRESHOLD,
    HeadData,
    HeadRates,
    TrainingResult,
    mixed_precision,
    predict_logits,
    seeded,
)

LEAST_BATCH = 128
"""Patients of a batch at least: a risk set of a few says little about the order of events."""


@dataclasses.dataclass(frozen=True)
class TimesData:
    """Rows for a head, and their patients."""

    rows: HeadData
    patients: Patients


def train_times(
    head: FusionHead,
    training: TimesData,
    validation: TimesData,
    loss: TimesLoss,
    config: HeadConfig,
    seed: int,
) -> TrainingResult:
    """Fits a head in place and leaves it with the weights of its best epoch, in evaluation mode.

    AdamW; learning rates and the end of the training follow Harrell's C of the validation
    patients, and between equal ones their loss.

    Args:
        head: The head, with the outputs of the loss.
        training: To learn from.
        validation: That ends the training; patients of their own.
        loss: What is minimised.
        config: Rates, sizes and patience.
        seed: Seed of the order of patients and of dropout.

    Raises:
        DataError: A part has fewer than two patients or no event.
    """
    for name, part in (("training", training), ("inner validation", validation)):
        if len(part.patients) < 2 or not part.patients.events.any():
            raise DataError(
                f"the {name} part has {len(part.patients)} patients, "
                f"{int(part.patients.events.sum())} of them events; a head needs events in both "
                f"parts: use fewer folds or more patients"
            )
    witness("head", "fitted on", training.patients.ids)
    witness("early stopping", "selected on", validation.patients.ids)
    device = training.rows.y.device
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        head.parameter_groups(config.learning_rate), weight_decay=config.weight_decay, fused=True
    )
    rates = Rates(optimizer, HeadRates(config.plateau_patience), PLATEAU_THRESHOLD)
    epochs = EpochLoop[dict[str, float]](config.epochs, config.patience, rates)
    best_state = copy.deepcopy(head.state_dict())
    with seeded(seed, device):
        head.start_at(loss.start(training.patients.times))
        for epoch in epochs:
            rate = optimizer.param_groups[0]["lr"]
            train_loss = _run_epoch(head, training, loss, optimizer, config, rng)
            figures = _figures(head, validation, loss)
            row = {"epoch": float(epoch), "train_loss": train_loss, **figures}
            score = figures["validation_concordance"], -figures["validation_loss"]
            if epochs.add(row | {"learning_rate": rate}, score):
                best_state = copy.deepcopy(head.state_dict())
    head.load_state_dict(best_state)
    head.eval()
    return TrainingResult(epochs.history, epochs.best_epoch)


def outputs_of(head: FusionHead, data: HeadData) -> np.ndarray:
    """Outputs of each row without dropout or hidden modalities; float64, (n,) or (n, outputs)."""
    return predict_logits(head, data)


def deal(patients: Patients, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draws batches: places of about `size` patients each, events and others dealt alike.

    No batch is without an event, so with few events batches are larger.
    """
    seen = patients.times.event == EVENT
    events, others = (rng.permutation(np.flatnonzero(part)) for part in (seen, ~seen))
    count = max(1, min(len(patients) // size, len(events)))
    return [np.concatenate([events[k::count], others[k::count]]) for k in range(count)]


def _run_epoch(
    head: FusionHead,
    data: TimesData,
    loss: TimesLoss,
    optimizer: torch.optim.Optimizer,
    config: HeadConfig,
    rng: np.random.Generator,
) -> float:
    """One pass; returns the mean loss over batches."""
    head.train()
    size = max(config.batch_size, LEAST_BATCH)
    losses = []
    for places in deal(data.patients, size, rng):
        rows = data.patients.rows_of(places)
        part = data.rows.take(rows)
        owner = np.searchsorted(np.sort(places), data.patients.place[rows])
        with mixed_precision(part.y.device):
            output = head(read_now(part.inputs), part.present)
        mean = _by_patient(output.float(), owner, len(places))
        value = loss.loss(mean, data.patients.times.take(np.sort(places)))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    return float(torch.stack(losses).mean())


def _by_patient(output: Tensor, owner: np.ndarray, patients: int) -> Tensor:
    """Mean output of the rows of each patient."""
    index = torch.from_numpy(owner).to(output.device)
    counts = torch.bincount(index, minlength=patients).to(output.dtype)
    total = output.new_zeros((patients, *output.shape[1:])).index_add(0, index, output)
    return total / (counts if output.ndim == 1 else counts[:, None])


def _figures(head: FusionHead, data: TimesData, loss: TimesLoss) -> dict[str, float]:
    output = data.patients.mean(outputs_of(head, data.rows))
    times = data.patients.times
    concordance = harrell_c(times.cause_specific(), loss.score(output))[0]
    return {
        "validation_loss": loss.value(output, times),
        "validation_concordance": float(np.nan_to_num(concordance, nan=0.5)),
    }
