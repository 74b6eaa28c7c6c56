"""Training of the joint network: one loss, pictures varied anew in every epoch.

Several processes (`torchrun`) share out the pictures of a batch, which is where the work is. Each
then gathers all embeddings and runs the whole batch through the head, so that the head's batch
normalisation and the result are those of one process, within rounding.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from extractor.device import AUTO, dtype_on
from extractor.epochs import EpochLoop, Rates
from extractor.finetune import Augmenter
from extractor.finetune.parts import Parts
from extractor.precision import computing_in, scaler_for
from extractor.workers import Workers
from featurestore.errors import ConfigError
from fusion.config import JointConfig
from fusion.models.joint_batches import Batch, Batches, JointData
from fusion.models.joint_network import JointNetwork
from fusion.models.training import (
    TrainingResult,
    seeded,
    selection_score,
    validation_figures,
)

DIVERGED = (
    "the joint training diverged (loss or logits not finite): lower ablation.joint.learning_rate"
)


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
    shown = Batches(validation, device, workers)
    step = _Steps(network, config, device, workers)
    rates = Rates(step.optimiser, config)
    start = selection_score(step.figures(validation, shown))
    epochs = EpochLoop[dict[str, float]](config.epochs, config.patience, rates, start)
    best_state = copy.deepcopy(network.state_dict())
    learnt = Batches(training, device, workers, augment)
    for epoch in epochs:
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
        order, seeds = rng.permutation(len(training)), rng.integers(2**63, size=len(training))
        parts = np.array_split(order, -(-len(order) // config.batch_size))
        network.set_training_mode(config.batch_norm == "train")
        total = torch.zeros((), device=device)
        with seeded(int(rng.integers(2**31)), device):
            batches = learnt.of(parts, seeds)
            for number in range(len(parts)):
                done = epoch - 1
                rates.before_step(done + number / len(parts), done + (number + 1) / len(parts))
                step(batches, total)
        train_loss = float(total) / len(training)
        if not np.isfinite(train_loss):
            raise ConfigError(DIVERGED)
        figures = step.figures(validation, shown)
        rate = step.optimiser.param_groups[-1]["lr"]
        row = {"epoch": float(epoch), "train_loss": train_loss, **figures, "learning_rate": rate}
        if epochs.add(row, selection_score(figures)):
            best_state = copy.deepcopy(network.state_dict())
    network.load_state_dict(best_state)
    network.eval()
    return TrainingResult(epochs.history, epochs.best_epoch, step.notice)


def predict_joint(
    network: JointNetwork,
    data: JointData,
    batch_size: int,
    device: torch.device,
    workers: Workers,
) -> np.ndarray:
    """Logit of each row, the same in all processes; float64 (n,)."""
    step = _Passes(network, device, workers)
    return step.predict(Batches(data, device, workers), len(data), batch_size)


class _Passes:
    """Passes of a network on its device, cut where memory runs out; nothing waits for the device.

    Attributes:
        parts: How many pictures a backbone is given at a time.
    """

    def __init__(
        self,
        network: JointNetwork,
        device: torch.device,
        workers: Workers,
        caveat: str = "",
    ) -> None:
        self._network, self._device, self._workers = network, device, workers
        self._dtype = dtype_on(device, AUTO, "ablation.joint")
        # Others would wait for a process that begins again.
        self.parts = Parts(device, recovers=workers.world_size == 1, caveat=caveat)

    def logits(self, batch: Batch) -> Tensor:
        """Logits of the rows of a batch, the same in all processes; float32 (n,)."""
        embeddings = {}
        with computing_in(self._dtype, self._device):
            for name, own in self._network.embed(batch.pictures, self.parts).items():
                gathered = self._workers.gather(own.detach(), batch.counts)
                parts = list(gathered.split(batch.counts))
                # What the others embedded is theirs to differentiate.
                parts[self._workers.rank] = own
                embeddings[name] = torch.cat(parts)
            found = self._network.fuse(embeddings, batch.rows, batch.columns, batch.present)
        return found.float()

    def predict(self, batches: Batches, n: int, batch_size: int) -> np.ndarray:
        """Logit of each of n rows; float64 (n,)."""
        self._network.eval()
        starts = range(0, n, batch_size)
        parts = [np.arange(start, min(start + batch_size, n)) for start in starts]
        logits = []
        with torch.inference_mode():
            for batch in batches.of(parts, np.zeros(n, dtype=np.int64)):
                logits.append(self.parts.run(functools.partial(self.logits, batch)))
        return torch.cat(logits).double().cpu().numpy()


class _Steps(_Passes):
    """Optimiser steps of a training.

    Attributes:
        optimiser: AdamW over all weights.
    """

    def __init__(
        self, network: JointNetwork, config: JointConfig, device: torch.device, workers: Workers
    ) -> None:
        caveat = "batch normalisation counts each picture twice"
        super().__init__(network, device, workers, caveat if config.batch_norm == "train" else "")
        self.optimiser = _optimiser(network, config)
        self._batch_size = config.batch_size
        self._scaler = scaler_for(self._dtype, device)

    @property
    def notice(self) -> str:
        """What became of the passes where memory ran out, for people; empty if nothing."""
        return self.parts.notice

    def __call__(self, batches: Iterator[Batch], total: Tensor) -> None:
        """Takes a step on the next batch, and adds its summed loss to the total."""
        batch = next(batches)

        def gradients() -> Tensor:
            losses = batch.weights * nn.functional.binary_cross_entropy_with_logits(
                self.logits(batch), batch.y, reduction="none"
            )
            self.optimiser.zero_grad(set_to_none=True)
            self._scaler.scale(losses.mean()).backward()
            return losses.detach().sum()

        summed = self.parts.run(gradients)
        branches = self._network.branches.parameters()
        self._workers.sum_gradients(p for p in branches if p.requires_grad)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        total += summed

    def figures(self, data: JointData, batches: Batches) -> dict[str, float]:
        """Loss and metrics of validation rows.

        Raises:
            ConfigError: A logit is not finite.
        """
        logits = self.predict(batches, len(data), self._batch_size)
        if not np.isfinite(logits).all():
            raise ConfigError(DIVERGED)
        return validation_figures(data.columns, logits)


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
