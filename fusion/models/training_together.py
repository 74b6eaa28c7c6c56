"""Training of several fusion heads at once, each as if it were alone.

`train` is what a model calls. Without `head.batched` its heads train one after the other
(`training.train_head`). With it they train as one program a shape: heads of one architecture, one
configuration and one number of inputs, as many as memory holds, be they members of an ensemble or
of fits that have gathered (`fusion.models.gathering`). Each has its own rows, order, dropout,
learning rates and end of training; one that has ended keeps its best weights and leaves the others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from extractor.device import resolve_device
from extractor.epochs import EpochLoop, Rates
from extractor.memory import DATA_SHARE, free_memory, is_out_of_memory, release_memory
from fusion.config import HeadConfig
from fusion.models.gathering import meet
from fusion.models.head_rows import HeadRows
from fusion.models.head_stack import LANES, StackedBatch, StackedHeads, fills_registers
from fusion.models.heads import HEADS, FusionHead
from fusion.models.late_input import batches_of
from fusion.models.training import (
    PLATEAU_THRESHOLD,
    HeadData,
    HeadRates,
    TrainingResult,
    batches,
    begin_training,
    draw_rows,
    selection_score,
    train_head,
    validation_figures,
)

TOGETHER_BYTES = 512_000_000
"""Of rows that heads in training hold together on a CPU; stacking them takes as much again."""

CARD_BYTES = 4_000_000_000
"""The same of a card, if a quarter of its free memory takes them: they lie in the host's too."""


@dataclasses.dataclass(frozen=True)
class HeadFit:
    """A head and all that its training depends on; see `training.train_head`."""

    head: FusionHead
    training: HeadData
    validation: HeadData
    config: HeadConfig
    seed: int

    @property
    def size(self) -> int:
        """Bytes of the rows, and of the random numbers of an epoch."""
        config, parts = self.config, (self.training, self.validation)
        held = sum(
            x.numel() * x.element_size()
            for part in parts
            for x in part.inputs.values()
            if isinstance(x, Tensor)
        )
        noise = len(self.training.inputs) * (config.projection + 2) + sum(config.hidden)
        return held + 4 * noise * len(self.training)


F = TypeVar("F", bound=HeadFit)


def train(fits: Iterable[F]) -> Iterator[tuple[F, TrainingResult]]:
    """Trains heads in place, and leaves each with the weights of its best epoch.

    Args:
        fits: Of one configuration; made as they are needed.

    Raises:
        DataError: See `training.train_head`.
    """
    todo = iter(fits)
    first = next(todo)
    if first.config.batched:
        for company in _companies(itertools.chain([first], todo), company_limit(first.config)):
            for fit in company:
                begin_training(fit.head, fit.training, fit.validation, fit.config)
            yield from zip(company, meet(company, train_all), strict=True)
    else:
        for fit in itertools.chain([first], todo):
            yield fit, _train_alone(fit)


def _train_alone(fit: HeadFit) -> TrainingResult:
    return train_head(fit.head, fit.training, fit.validation, fit.config, fit.seed)


def _companies(fits: Iterable[F], limit: int) -> Iterator[list[F]]:
    """Heads that may be in memory together, one company after the other."""
    company: list[F] = []
    for fit in fits:
        if company and sum(one.size for one in company) + fit.size > limit:
            yield company
            company = []
        company.append(fit)
    if company:
        yield company


def train_all(fits: Sequence[HeadFit]) -> list[TrainingResult]:
    """Trains heads of which `begin_training` has been told, those of one shape as one program.

    Heads of other shapes, and those that attend over bags, train one after the other. Where a
    card's memory runs out, companies are halved, and the results have a notice.
    """
    together: dict[Hashable, list[int]] = defaultdict(list)
    for place, fit in enumerate(fits):
        together[shape_of(fit) or place].append(place)
    results: dict[int, TrainingResult] = {}
    for places in together.values():
        own = [fits[place] for place in places]
        if shape_of(own[0]) is None:
            found = [_train_alone(fit) for fit in own]
        else:
            device = resolve_device(own[0].config.device)
            companies = _companies(own, company_limit(own[0].config))
            found = [result for company in companies for result in _train_on(company, device)]
        results |= zip(places, found, strict=True)
    return [results[place] for place in range(len(fits))]


def shape_of(fit: HeadFit) -> Hashable:
    """What heads that train together have in common; None for one that trains alone."""
    if type(fit.head) not in HEADS.values() or fit.training.bag_names:
        return None
    return type(fit.head), tuple(fit.training.dims.items()), fit.config


def company_limit(config: HeadConfig) -> int:
    """Bytes of the heads of a program.

    On a CPU heads whose layers leave part of a vector register empty train one at a time, since
    their last bits would depend on their company.

    Raises:
        ConfigError: There is no such device.
    """
    device = resolve_device(config.device)
    if device.type == "cuda":
        return min(CARD_BYTES, int(DATA_SHARE * free_memory(device)))
    return TOGETHER_BYTES if fills_registers(config) else 0


def _train_on(fits: Sequence[HeadFit], device: torch.device) -> list[TrainingResult]:
    """Trains a company, or its halves where memory runs out."""
    try:
        return _train_stack(fits, device)
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(fits) == 1:
            raise
    release_memory()  # after the error, which holds the tensors of the program
    half = len(fits) // 2
    found = [*_train_on(fits[:half], device), *_train_on(fits[half:], device)]
    notice = f"{device} ran out of memory: {half} heads trained together instead of {len(fits)}"
    return [dataclasses.replace(one, notice=one.notice or notice) for one in found]


def _train_stack(fits: Sequence[HeadFit], device: torch.device) -> list[TrainingResult]:
    training = HeadRows.of([fit.training for fit in fits], device)
    validation = HeadRows.of([fit.validation for fit in fits], device)
    stack = StackedHeads.of([fit.head for fit in fits], device)
    best = [value.clone() for value in stack.values]
    runs = [_Run(fit, place, device) for place, fit in enumerate(fits)]
    active = runs
    while active:
        losses = _run_epoch(stack, active, training)
        scores = _score(stack, active, validation)
        better = [k for k, run in enumerate(active) if run.judge(losses[k], scores[k])]
        places = _index([active[k].place for k in better], device)
        for kept, value in zip(best, stack.values, strict=True):
            kept[places] = value[_index(better, device)]
        going = [k for k, run in enumerate(active) if run.goes_on()]
        if 0 < len(going) < len(active):
            stack = stack.take(_index(going, device))
        active = [active[k] for k in going]
    best = [value.cpu() for value in best]
    return [run.finish(stack.state(best, run.place)) for run in runs]


class _Run:
    """The training of one head among others.

    Attributes:
        place: Of the head among those that began.
        data: Rows to learn from.
        config: Of the training.
    """

    def __init__(self, fit: HeadFit, place: int, device: torch.device) -> None:
        self.place = place
        self.data = fit.training
        self.config = fit.config
        self._fit = fit
        self._weights = fit.training.row_weights()
        self._order = torch.Generator().manual_seed(fit.seed)
        self._noise = torch.Generator(device)
        self._noise.manual_seed(int(np.random.SeedSequence([fit.seed, 1]).generate_state(1)[0]))
        # It keeps the rates and never steps: the stack does.
        self._optimizer = torch.optim.SGD(fit.head.parameter_groups(fit.config.learning_rate))
        rates = Rates(self._optimizer, HeadRates(fit.config.plateau_patience), PLATEAU_THRESHOLD)
        self._epochs = EpochLoop[dict[str, float]](fit.config.epochs, fit.config.patience, rates)
        self._numbers = iter(self._epochs)
        self._epoch = next(self._numbers, None)

    def draw(self, noise_width: int) -> tuple[Tensor, Tensor]:
        """Rows of the next epoch, in order, (n,), and their random numbers (n, noise_width)."""
        rows = draw_rows(self.data, self._weights, self.config, self._order)
        device = self._noise.device
        return rows, torch.rand((len(rows), noise_width), generator=self._noise, device=device)

    def rates(self) -> list[float]:
        """Learning rate of every part (`head_stack.parts_of`)."""
        return [group["lr"] for group in self._optimizer.param_groups]

    def judge(self, loss: float, logits: np.ndarray) -> bool:
        """Takes an epoch into the history; returns whether it is the best so far.

        Args:
            loss: Sum over the rows that were drawn.
            logits: Of the validation rows.
        """
        figures = validation_figures(self._fit.validation, logits)
        mean = loss / len(self.data)
        row = {"epoch": float(self._epoch or 0), "train_loss": mean, **figures}
        row["learning_rate"] = self.rates()[0]
        return self._epochs.add(row, selection_score(figures))

    def goes_on(self) -> bool:
        """Begins the next epoch, if there is one."""
        self._epoch = next(self._numbers, None)
        return self._epoch is not None

    def finish(self, best: dict[str, Tensor]) -> TrainingResult:
        """Gives the head its best weights."""
        self._fit.head.load_state_dict(best)
        self._fit.head.eval()
        return TrainingResult(self._epochs.history, self._epochs.best_epoch)


def _run_epoch(stack: StackedHeads, runs: Sequence[_Run], data: HeadRows) -> list[float]:
    """One pass of every head; returns the sum of each one's losses over the rows it drew."""
    device = data.y.device
    drawn = [run.draw(stack.noise_width) for run in runs]
    most = max(len(rows) for rows, _ in drawn)
    order = torch.zeros((len(runs), most), dtype=torch.int64)
    noise = torch.zeros((len(runs), most, stack.noise_width), device=device)
    for k, (rows, numbers) in enumerate(drawn):
        order[k, : len(rows)] = rows + int(data.starts[runs[k].place])
        noise[k, : len(rows)] = numbers
    order = order.to(device)
    rates, config = [run.rates() for run in runs], runs[0].config
    totals = torch.zeros(len(runs), device=device)
    sizes = [len(rows) for rows, _ in drawn]
    # Places are copied to a card before the first step, so that no step waits.
    steps = [
        (part, heads, slice(None) if len(heads) == len(runs) else _index(heads, device))
        for part, heads in _steps(sizes, config.batch_size, device)
    ]
    for part, heads, index in steps:
        stepping = stack.take(index) if isinstance(index, Tensor) else stack
        shown, mask, y, weights = data.take(order[index, part])
        if config.weighted_sampling:
            weights = torch.ones_like(weights)
        batch = StackedBatch(shown, mask, y, weights, noise[index, part])
        totals[index] += stepping.step(batch, [rates[k] for k in heads], config.weight_decay)
        if isinstance(index, Tensor):
            stack.put(index, stepping)
    found: list[float] = totals.tolist()
    return found


def _steps(
    sizes: Sequence[int], batch_size: int, device: torch.device
) -> Iterator[tuple[slice, list[int]]]:
    """Slices of rows, and the heads that take them together; in the order of rows.

    Heads whose last batches have other sizes take them apart: rows that pad a batch would enter
    the statistics of batch normalisation. On a CPU each head takes a batch that leaves part of a
    vector register empty for itself.
    """
    wanted: dict[tuple[int, int], list[int]] = defaultdict(list)
    for head, size in enumerate(sizes):
        for part in batches(size, batch_size):
            wanted[part.start, part.stop].append(head)
    for (start, stop), heads in sorted(wanted.items()):
        fills = device.type == "cuda" or (stop - start) % LANES == 0
        for own in [heads] if fills else [[head] for head in heads]:
            yield slice(start, stop), own


def _score(stack: StackedHeads, runs: Sequence[_Run], data: HeadRows) -> list[np.ndarray]:
    """Logits of each head's validation rows; float64 (n,) each.

    Heads score equally many rows together, the last of one again and again where it has fewer: on a
    card all, on a CPU as many as fill the vector registers, which does not depend on the company.
    """
    device = data.y.device
    sizes = [int(data.starts[run.place + 1] - data.starts[run.place]) for run in runs]
    starts = torch.tensor([int(data.starts[run.place]) for run in runs])
    alike: dict[int, list[int]] = defaultdict(list)
    for head, size in enumerate(sizes):
        alike[max(sizes) if device.type == "cuda" else -(-size // LANES) * LANES].append(head)
    found: dict[int, np.ndarray] = {}
    for count, heads in alike.items():
        last = torch.tensor([sizes[head] - 1 for head in heads])[:, None]
        rows = (starts[heads, None] + torch.arange(count).minimum(last)).to(device)
        own = stack if len(heads) == len(runs) else stack.take(_index(heads, device))
        logits = _logits(own, runs[0], data, rows).double().cpu().numpy()
        found |= {head: logits[k, : sizes[head]] for k, head in enumerate(heads)}
    return [found[head] for head in range(len(runs))]


def _logits(stack: StackedHeads, run: _Run, data: HeadRows, rows: Tensor) -> Tensor:
    """Logits of rows (heads, n), so many at a time as memory should hold."""
    parts = batches_of(run.data.inputs, rows.shape[1])
    return torch.cat([stack.logits(*data.take(rows[:, part])[:2]) for part in parts], dim=1)


def _index(places: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor(places, dtype=torch.int64).to(device)
