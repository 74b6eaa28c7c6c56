"""The training loop: by one process, or by a rank of several that take the same steps.

Inside a step nothing waits for the device: losses are summed and logits are kept there, and both
are fetched once an epoch.

Batch normalisation sees one pass: with `accumulate` its statistics are those of `batch_size`
images, not of the whole step. With several processes a pass is shared out; statistics that are
trained are then synchronised (CUDA), so they still are those of the whole pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from extractor.backbones import Backbone
from extractor.config_finetune import FinetuneConfig
from extractor.device import dtype_on
from extractor.epochs import EpochLoop, Rates
from extractor.finetune.augment import Augmenter
from extractor.finetune.batches import Pictures, Step, passes_of, plan_epoch
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.classifier import Classifier, set_training_mode, share_statistics
from extractor.finetune.ema import WeightAverage
from extractor.finetune.feed import Fed, feed_of
from extractor.finetune.optimiser import (
    block_groups,
    make_optimiser,
    release,
    released_groups,
)
from extractor.finetune.runner import Runner
from extractor.finetune.saver import Saver
from extractor.finetune.shelf import shelf_of, take
from extractor.finetune.state import EpochRow, TrainingState
from extractor.finetune.tensorboard import Recorder, record_nothing
from extractor.precision import compiled_if, compiles, layout_on, scaler_for
from extractor.workers import ALONE, Workers
from featurestore.errors import ConfigError
from featurestore.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training gave.

    Attributes:
        weights: Tensors of the backbone after its best epoch, without head, on the CPU.
        history: All epochs.
        best_epoch: The epoch whose weights these are.
    """

    weights: dict[str, Tensor]
    history: tuple[EpochRow, ...]
    best_epoch: int


@dataclasses.dataclass(frozen=True)
class Company:
    """Who trains, and who is told.

    Attributes:
        workers: Processes that train together.
        progress: Told of every optimiser step; the first process's.
        record: Told of all epochs, those of an interrupted training included; the first process's.
    """

    workers: Workers = ALONE
    progress: Progress = SILENT
    record: Recorder = record_nothing


def train(
    backbone: Backbone,
    training: Pictures,
    validation: Pictures,
    augment: Augmenter,
    config: FinetuneConfig,
    seed: int,
    checkpoints: CheckpointFolder,
    company: Company,
) -> Trained:
    """Trains a backbone with a head for one logit, from the newest good checkpoint on.

    On a CPU the result is the same bit for bit for the same arguments, interrupted or not; with
    another number of processes it is the same within rounding.

    Args:
        backbone: What to train; its module is changed.
        training: Pictures to learn from, larger than what the backbone takes.
        validation: Pictures that select the epoch, of the size that the backbone takes.
        augment: Makes a training picture of the size that the backbone takes.
        config: Everything else.
        seed: Seed of the head, of the order and of the augmentation.
        checkpoints: Where the state is kept; the first process writes.
        company: Who trains, and who is told.

    Raises:
        ConfigError: The precision or the device is not available, the loss is not finite, or
            several processes cannot train batch normalisation here.
        OSError: A checkpoint cannot be written.
    """
    workers, progress, record = company.workers, company.progress, company.record
    device = workers.device(config.device)
    with _cpu_threads(config.threads if device.type == "cpu" else None):
        loop = _Loop(backbone, training, validation, augment, config, seed, workers, device)
        done = _resume(loop.state, checkpoints, progress, workers)
        epochs = loop.epochs()
        progress.start(f"finetune {backbone.name}", config.epochs * len(training.labels))
        progress.advance(done * len(training.labels))
        record(loop.state.history)
        with Saver(checkpoints, device) as saver:
            for epoch in epochs:
                row = loop.run_epoch(epoch, progress)
                better = epochs.add(row, row.score, loop.all_released(epoch))
                if workers.is_first:
                    saver.save(loop.state, epoch if better else None)
                    record(epochs.history)
        best = epochs.history[epochs.best_epoch - 1]
        progress.finish(
            f"finetune {backbone.name}: {len(epochs.history)} epochs, best {best.epoch} with an "
            f"inner-validation AUROC of {best.validation_auroc:.3f}{loop.speed()}{loop.notice()}"
        )
        weights = checkpoints.best(best.epoch) if workers.is_first else {}
        return Trained(weights, tuple(epochs.history), best.epoch)


class _Loop:
    def __init__(
        self,
        backbone: Backbone,
        training: Pictures,
        validation: Pictures,
        augment: Augmenter,
        config: FinetuneConfig,
        seed: int,
        workers: Workers,
        device: torch.device,
    ) -> None:
        self._training = training
        self._validation = validation
        self._augment = augment
        self._config = config
        self._seed = seed
        self._workers = workers
        self._device = device
        dtype = dtype_on(device, config.precision, "finetune.precision")
        self._seconds, self._images = 0.0, 0
        prevalence = 0.5 if config.weighted_sampling else float(training.labels.mean())
        model = Classifier(backbone, prevalence, seed)
        if workers.world_size > 1 and config.trains_batch_norm:
            model = share_statistics(model, device)
        model = model.to(device).to(memory_format=layout_on(device))
        self._groups = block_groups(model.trunk)
        optimiser = make_optimiser(model, config)
        passes = config.epochs * -(-len(training.labels) // config.batch_size)
        if config.unfreeze:
            passes = 0  # each release would be compiled anew
        compiled = compiles(config.compile, device, passes)
        if compiled:
            torch.compiler.reset()  # versions of earlier trainings count towards a limit
        self._compiled: Callable[[Tensor], Tensor] = compiled_if(compiled, model)
        shared = workers.world_size > 1 and config.trains_batch_norm
        self._runner = Runner(
            device, dtype, config.label_smoothing, config.trains_batch_norm, recovers=not shared
        )
        self._feed = feed_of(training, augment, config.workers, device, compiled)
        self._shown = shelf_of(validation.squares, device)
        self.state = TrainingState(
            model=model,
            optimiser=optimiser,
            rates=Rates(optimiser, config),
            scaler=scaler_for(dtype, device),
            average=WeightAverage(model, config.ema_decay) if config.ema_decay else None,
        )

    def run_epoch(self, epoch: int, progress: Progress) -> EpochRow:
        """Trains and validates one epoch."""
        released = released_groups(self._config, len(self._groups), epoch)
        release(self._groups, released)
        train_loss = self._train_epoch(epoch, progress)
        loss, auroc = self._validate()
        if not math.isfinite(train_loss + loss):
            raise ConfigError(
                f"the loss of epoch {epoch} is not finite: the training diverged; lower "
                f"finetune.learning_rate, or set finetune.precision to float32"
            )
        *_, last_block, _, head = (g["lr"] for g in self.state.optimiser.param_groups)
        return EpochRow(epoch, train_loss, loss, auroc, last_block, head, released)

    def epochs(self) -> EpochLoop[EpochRow]:
        """The epochs that are left after those of the history, which is added to."""
        history, config = self.state.history, self._config
        done = [(row.score, self.all_released(row.epoch)) for row in history]
        left = EpochLoop(config.epochs, config.patience, self.state.rates, history=history)
        left.resume([score for score, _ in done], [released for _, released in done])
        return left

    def speed(self) -> str:
        """Images a second of what was trained in this process, for people."""
        return f" ({self._images / self._seconds:.0f} images/s)" if self._images else ""

    def all_released(self, epoch: int) -> bool:
        """Whether all block groups that will be trained are trained in an epoch."""
        n = len(self._groups)
        return released_groups(self._config, n, epoch) == released_groups(self._config, n, 10**9)

    def notice(self) -> str:
        """What became of the passes, for people."""
        return f"; {self._runner.notice}" if self._runner.notice else ""

    def _train_epoch(self, epoch: int, progress: Progress) -> float:
        state, config = self.state, self._config
        set_training_mode(state.model, config.trains_batch_norm)
        steps = plan_epoch(self._training.labels, config, self._seed, epoch, self._workers)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        began, before = time.perf_counter(), self._seconds
        with _seeded(self._seed, epoch, self._device):
            passes = self._feed.passes(passes_of(steps))
            for number, step in enumerate(steps):
                done = epoch - 1 + number / len(steps)
                state.rates.before_step(done, done + 1 / len(steps))
                self._step(step, passes, total)
                self._images += step.size
                self._seconds = before + time.perf_counter() - began
                progress.advance(step.size, f"epoch {epoch}{self.speed()}")
        mean = self._workers.total(float(total)) / len(self._training.labels)
        self._seconds = before + time.perf_counter() - began  # the device is done now
        return mean

    def _step(self, step: Step, passes: Iterator[Fed], total: Tensor) -> None:
        """One optimiser step; its losses are added to the total."""
        state = self.state

        def backward(loss: Tensor) -> None:
            state.scaler.scale(loss / step.size).backward()

        for loss in self._runner.gradients(
            self._compiled,
            passes,
            len(step.passes),
            lambda: state.optimiser.zero_grad(set_to_none=True),
            backward,
        ):
            total += loss
        self._workers.sum_gradients(p for p in state.model.parameters() if p.requires_grad)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        if state.average is not None:
            state.average.update(state.model)

    def _validate(self) -> tuple[float, float]:
        """Mean loss over images and AUROC over patients, the same in all processes."""
        model = self.state.kept.eval()
        rows = np.array_split(np.arange(len(self._validation.labels)), self._workers.world_size)
        own = rows[self._workers.rank]
        logits = [torch.empty(0, device=self._device)]
        with torch.inference_mode():
            for start in range(0, len(own), self._config.batch_size):
                part = own[start : start + self._config.batch_size]
                logits.append(self._runner.logits(model, take(self._shown, part)))
        scores = self._workers.gather(torch.cat(logits)).double().cpu().numpy()
        y = self._validation.labels.astype(float)
        with np.errstate(invalid="ignore"):  # divergence is an error of its own
            loss = float((np.logaddexp(0.0, scores) - y * scores).mean())
        return loss, auroc_of_patients(self._validation.patient_ids, y, scores)


def auroc_of_patients(patient_ids: np.ndarray, y: np.ndarray, logits: np.ndarray) -> float:
    """AUROC over patients by their mean logit, as `fusion.metrics` has it to the last bit.

    Rooms below may not import it, and handing a function through every process that trains would
    cost more than this line: the number selects an epoch and is no result.

    Args:
        patient_ids: Patient of each image; shape (n,).
        y: Outcome of each image's patient, 0.0 or 1.0, of both kinds; shape (n,).
        logits: Logit of each image; shape (n,).
    """
    if not np.isfinite(logits).all():
        return math.nan  # the loss is not finite either, which ends the training
    _, first, inverse = np.unique(patient_ids.astype(str), return_index=True, return_inverse=True)
    means = np.bincount(inverse, weights=logits) / np.bincount(inverse)
    events = y[first] == 1
    pairs = float(events.sum()) * float((~events).sum())
    # The Mann-Whitney statistic; midranks and therefore the numerator are exact.
    least = events.sum() * (events.sum() + 1) / 2
    return float(rankdata(means)[events].sum() - least) / pairs


def _resume(
    state: TrainingState, checkpoints: CheckpointFolder, progress: Progress, workers: Workers
) -> int:
    """Restores the newest good checkpoint in all processes and returns its epoch, or 0."""

    def report(text: str) -> None:
        progress.start("finetune", 1)
        progress.finish(f"finetune: {text}; training goes on from the one before")

    done = 0
    if workers.is_first:
        checkpoints.clean()
        done = checkpoints.restore_latest(state.restore, report)
    done = workers.from_first(done)
    if done and not workers.is_first:
        state.restore(checkpoints.load(done))
    workers.barrier()  # nothing is removed while another process reads
    return done


@contextlib.contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Seeds what the network itself draws (dropout) and gives the caller's state back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
        yield


@contextlib.contextmanager
def _cpu_threads(n: int | None) -> Iterator[None]:
    """Torch computes with n threads inside, and with as many as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n is None else n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
