"""Training of the joint network: one loss, pictures varied anew in every epoch.

Several processes (`torchrun`) share out the pictures of a batch, which is where the work is. Each
then gathers all embeddings and runs the whole batch through the head, so that the head's batch
normalisation and the result are those of one process, within rounding.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from extractor.epochs import EpochLoop, Rates
from extractor.finetune import Augmenter
from extractor.workers import Workers
from featurestore.errors import ConfigError
from fusion.config import JointConfig
from fusion.models.joint_network import JointNetwork
from fusion.models.training import (
    HeadData,
    TrainingResult,
    mixed_precision,
    seeded,
    selection_score,
    validation_figures,
)

DIVERGED = (
    "the joint training diverged (loss or logits not finite): lower ablation.joint.learning_rate"
)


@dataclasses.dataclass(frozen=True)
class JointData:
    """Rows for the joint network.

    Attributes:
        squares: Per backbone the pictures of the rows that have one, uint8 (side, side, 3); those
            to learn from are larger than what the backbone takes, by what augmentation cuts off.
        rows: Those rows; int64 (m,).
        columns: Encoded patient columns, presence, outcome and patients of all n rows; the inputs
            of image modalities in it are not used.
    """

    squares: Mapping[str, Sequence[np.ndarray]]
    rows: np.ndarray
    columns: HeadData

    def __len__(self) -> int:
        return len(self.columns)


@dataclasses.dataclass(frozen=True)
class _Batch:
    """A batch on the device, with this process's share of its pictures.

    Attributes:
        pictures: Per backbone the pictures of this process's share, uint8 (k, 3, side, side).
        counts: Pictures of each process.
        rows: Rows of the batch that have a picture, in order; int64 (m,).
        columns: Per modality of patient columns its values (n, width).
        present: Per modality whether a row has it; bool (n,).
    """

    pictures: dict[str, Tensor]
    counts: list[int]
    rows: Tensor
    columns: dict[str, Tensor]
    present: dict[str, Tensor]


def train_joint(
    network: JointNetwork,
    training: JointData,
    validation: JointData,
    augment: Mapping[str, Augmenter],
    config: JointConfig,
    seed: int,
    device: torch.device,
    workers: Workers,
) -> TrainingResult:
    """Fits a network in place and leaves it with the weights of its best epoch.

    AdamW on the binary cross-entropy, every patient counted once; rates rise over the warm-up and
    are reduced when the inner-validation AUROC stands still, which also ends the training. Of
    epochs with the same AUROC the one with the lower loss is better. The start counts as epoch 0:
    where joint training brings nothing, the network stays what it was.

    Args:
        network: On the device; its weights are the start.
        training: Rows to learn from.
        validation: Rows of other patients, which select the epoch.
        augment: Per backbone what makes a training picture, from a larger square.
        config: Rates, sizes and patience.
        seed: Seed of the order, the augmentation and dropout.
        device: Where the network is.
        workers: Processes that train together.

    Raises:
        ConfigError: The loss is not finite.
    """
    optimiser = _optimiser(network, config)
    rates = Rates(optimiser, config)
    start = selection_score(_figures(network, validation, config, device, workers))
    epochs = EpochLoop[dict[str, float]](config.epochs, config.patience, rates, start)
    best_state = copy.deepcopy(network.state_dict())
    weights = training.columns.row_weights().to(device)
    y = training.columns.y.to(device)
    for epoch in epochs:
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
        order, seeds = rng.permutation(len(training)), rng.integers(2**63, size=len(training))
        parts = np.array_split(order, -(-len(order) // config.batch_size))
        network.set_training_mode(config.batch_norm == "train")
        total = torch.zeros((), device=device)
        with seeded(int(rng.integers(2**31)), device):
            for number, part in enumerate(parts):
                done = epoch - 1
                rates.before_step(done + number / len(parts), done + (number + 1) / len(parts))
                batch = _batch(training, part, augment, seeds, device, workers)
                with mixed_precision(device):
                    logits = _logits(network, batch, workers)
                chosen = torch.from_numpy(part).to(device)
                losses = weights[chosen] * nn.functional.binary_cross_entropy_with_logits(
                    logits.float(), y[chosen], reduction="none"
                )
                optimiser.zero_grad(set_to_none=True)
                losses.mean().backward()
                workers.sum_gradients(p for p in network.branches.parameters() if p.requires_grad)
                optimiser.step()
                total += losses.detach().sum()
        train_loss = float(total) / len(training)
        if not np.isfinite(train_loss):
            raise ConfigError(DIVERGED)
        figures = _figures(network, validation, config, device, workers)
        rate = optimiser.param_groups[-1]["lr"]
        row = {"epoch": float(epoch), "train_loss": train_loss, **figures, "learning_rate": rate}
        if epochs.add(row, selection_score(figures)):
            best_state = copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    network.eval()
    return TrainingResult(epochs.history, epochs.best_epoch)


def predict_joint(
    network: JointNetwork,
    data: JointData,
    batch_size: int,
    device: torch.device,
    workers: Workers,
) -> np.ndarray:
    """Logit of each row, the same in all processes; float64 (n,)."""
    network.eval()
    as_they_are = dict.fromkeys(data.squares, _as_it_is)
    unused_seeds = np.zeros(len(data), dtype=np.int64)
    logits = []
    with torch.inference_mode():
        for start in range(0, len(data), batch_size):
            part = np.arange(start, min(start + batch_size, len(data)))
            batch = _batch(data, part, as_they_are, unused_seeds, device, workers)
            with mixed_precision(device):
                logits.append(_logits(network, batch, workers).double().cpu())
    return torch.cat(logits).numpy()


def _figures(
    network: JointNetwork,
    data: JointData,
    config: JointConfig,
    device: torch.device,
    workers: Workers,
) -> dict[str, float]:
    logits = predict_joint(network, data, config.batch_size, device, workers)
    if not np.isfinite(logits).all():
        raise ConfigError(DIVERGED)
    return validation_figures(data.columns, logits)


def _logits(network: JointNetwork, batch: _Batch, workers: Workers) -> Tensor:
    rank = workers.rank
    embeddings = {}
    for name, own in network.embed(batch.pictures).items():
        parts = list(workers.gather(own.detach()).split(batch.counts))
        parts[rank] = own  # what the others embedded is theirs to differentiate
        embeddings[name] = torch.cat(parts)
    return network.fuse(embeddings, batch.rows, batch.columns, batch.present)


def _batch(
    data: JointData,
    part: np.ndarray,
    make: Mapping[str, Augmenter],
    seeds: np.ndarray,
    device: torch.device,
    workers: Workers,
) -> _Batch:
    place = {int(row): k for k, row in enumerate(data.rows)}
    pictured = [(i, int(row)) for i, row in enumerate(part) if int(row) in place]
    shares = np.array_split(np.arange(len(pictured)), workers.world_size)
    own = [pictured[k][1] for k in shares[workers.rank]]
    chosen = torch.from_numpy(part)
    columns = data.columns
    return _Batch(
        pictures={
            name: _pictures([squares[place[row]] for row in own], make[name], seeds[own], device)
            for name, squares in data.squares.items()
        },
        counts=[len(share) for share in shares],
        rows=torch.tensor([i for i, _ in pictured], dtype=torch.int64, device=device),
        columns={
            name: x[chosen].to(device)
            for name, x in columns.inputs.items()
            if isinstance(x, Tensor)
        },
        present={name: x[chosen].to(device) for name, x in columns.present.items()},
    )


def _pictures(
    squares: Sequence[np.ndarray], make: Augmenter, seeds: np.ndarray, device: torch.device
) -> Tensor:
    made = [
        make(torch.from_numpy(square.copy()).permute(2, 0, 1), int(seed))
        for square, seed in zip(squares, seeds, strict=True)
    ]
    return torch.stack(made).to(device) if made else torch.empty((0, 3, 32, 32), device=device)


def _as_it_is(picture: Tensor, seed: int) -> Tensor:
    return picture


def _optimiser(network: JointNetwork, config: JointConfig) -> torch.optim.AdamW:
    """Rates that decay towards the input of each backbone, and the head's own; the head's last."""
    groups: list[dict[str, Any]] = []
    for branch in network.branches:
        trunk: Any = branch.trunk
        keep: set[str] = getattr(trunk, "no_weight_decay", set)()
        for group in param_groups_layer_decay(
            trunk,
            weight_decay=config.weight_decay,
            no_weight_decay_list=keep,
            layer_decay=config.layer_decay,
        ):
            groups.append(
                {
                    "params": group["params"],
                    "weight_decay": group["weight_decay"],
                    "lr": config.learning_rate * group["lr_scale"],
                }
            )
    head = network.head.parameter_groups(config.head_learning_rate)
    groups += [group | {"weight_decay": config.weight_decay} for group in reversed(head)]
    return torch.optim.AdamW(groups, fused=True)
