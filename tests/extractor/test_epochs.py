"""History, best epoch, patience and rates, by scores that are written down."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from extractor.epochs import LEAST_RATE_SHARE, EpochLoop, Rates

NEVER = 1_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """Like those of every training; `rate` is that of the last group."""

    warmup_epochs: float = 0.0
    plateau_patience: int = 2
    plateau_factor: float = 0.5
    rate: float = 0.6


def optimiser_of(config: Settings) -> torch.optim.Optimizer:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.0)]
    groups[-1]["lr"] = config.rate
    return torch.optim.SGD(groups)


def rates_of(config: Settings) -> tuple[torch.optim.Optimizer, Rates]:
    optimiser = optimiser_of(config)
    return optimiser, Rates(optimiser, config)


def test_rates_rise_linearly_over_parts_of_epochs_and_then_stay() -> None:
    optimiser, rates = rates_of(Settings(warmup_epochs=1.5, rate=0.6))
    seen = []
    for step in range(8):  # four steps an epoch
        rates.before_step(step / 4, (step + 1) / 4)
        seen.append(optimiser.param_groups[-1]["lr"])
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6])


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    optimiser, rates = rates_of(Settings(warmup_epochs=0, rate=0.6))
    rates.before_step(0.0, 0.25)
    assert optimiser.param_groups[-1]["lr"] == 0.6


def test_a_plateau_reduces_all_rates_down_to_a_floor() -> None:
    config = Settings(warmup_epochs=0, plateau_patience=1, plateau_factor=0.5, rate=0.8)
    optimiser, rates = rates_of(config)
    seen = []
    for epoch, score in enumerate([0.6, 0.7, 0.7, 0.65, 0.7, 0.7, 0.71, 0.1], start=1):
        rates.after_epoch(epoch, score)
        seen.append(optimiser.param_groups[-1]["lr"])
    # Equal is not better: 0.7 is followed by two epochs without gain, twice.
    assert seen == pytest.approx([0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.2])
    for epoch in range(9, 99):
        rates.after_epoch(epoch, 0.0)
    for group in optimiser.param_groups:
        assert group["lr"] == pytest.approx(group["initial_lr"] * LEAST_RATE_SHARE)


def test_scores_count_only_after_the_warm_up() -> None:
    config = Settings(warmup_epochs=3, plateau_patience=0, rate=0.8)
    optimiser, rates = rates_of(config)
    rates.after_epoch(1, 0.9)
    rates.after_epoch(2, 0.8)
    rates.after_epoch(3, 0.5)
    assert optimiser.param_groups[-1]["lr"] == 0.8
    rates.after_epoch(4, 0.4)
    assert optimiser.param_groups[-1]["lr"] == pytest.approx(0.8 * config.plateau_factor)


def test_rates_go_on_from_a_saved_state() -> None:
    config = Settings(warmup_epochs=1, plateau_patience=1)
    scores = [0.5, 0.6, 0.6, 0.55, 0.6, 0.6, 0.6]
    optimiser, rates = rates_of(config)
    states = []
    for epoch, score in enumerate(scores, start=1):
        rates.before_step(epoch - 1, epoch)
        rates.after_epoch(epoch, score)
        states.append(rates.state())
    for done in range(len(scores)):
        _, resumed = rates_of(config)
        resumed.restore(states[done])
        for epoch, score in list(enumerate(scores, start=1))[done + 1 :]:
            resumed.before_step(epoch - 1, epoch)
            resumed.after_epoch(epoch, score)
        assert resumed.state() == rates.state()
    assert rates.state().lr != states[0].lr
    assert optimiser.param_groups[0]["lr"] == rates.state().lr[0]


def test_before_the_first_score_the_state_is_plain_json() -> None:
    _, rates = rates_of(Settings())
    assert rates.state().best is None
    rates.restore(rates.state())
    rates.after_epoch(5, -math.inf)
    assert rates.state().num_bad_epochs == 1


def run(
    scores: list[float],
    patience: int = NEVER,
    start: float = -math.inf,
    frozen: int = 0,
) -> tuple[EpochLoop[float], list[int]]:
    """A training whose epochs score so; those up to `frozen` are not settled."""
    _, rates = rates_of(Settings(plateau_patience=NEVER))
    loop = EpochLoop[float](len(scores), patience, rates, (start, 0.0))
    better = [
        epoch
        for epoch in loop
        if loop.add(scores[epoch - 1], (scores[epoch - 1], 0.0), epoch > frozen)
    ]
    return loop, better


def test_the_first_of_equally_good_epochs_is_the_best() -> None:
    loop, better = run([0.5, 0.7, 0.7, 0.6])
    assert loop.best_epoch == 2
    assert better == [1, 2]
    assert loop.history == [0.5, 0.7, 0.7, 0.6]


def test_of_the_same_auroc_the_lower_loss_is_better() -> None:
    _, rates = rates_of(Settings())
    loop = EpochLoop[str](3, NEVER, rates)
    losses = iter([0.6, 0.4, 0.5])
    assert [loop.add("", (0.7, -next(losses))) for _ in loop] == [True, True, False]


def test_a_start_that_is_never_beaten_is_the_best() -> None:
    loop, better = run([0.5, 0.8, 0.7], start=0.8)
    assert loop.best_epoch == 0
    assert better == []


def test_patience_ends_the_training() -> None:
    loop, _ = run([0.5, 0.7, 0.6, 0.6, 0.9], patience=2)
    assert len(loop.history) == 4
    assert loop.best_epoch == 2
    assert len(run([0.5, 0.7, 0.6, 0.6, 0.9], patience=3)[0].history) == 5


def test_patience_counts_from_when_all_is_trained() -> None:
    scores = [0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert len(run(scores, patience=2)[0].history) == 3
    assert len(run(scores, patience=2, frozen=4)[0].history) == 6


def test_epochs_that_are_not_settled_do_not_reduce_rates() -> None:
    optimiser, rates = rates_of(Settings(plateau_patience=0))
    loop = EpochLoop[None](4, NEVER, rates)
    seen = []
    for epoch in loop:
        loop.add(None, (0.5, 0.0), settled=epoch > 2)
        seen.append(optimiser.param_groups[-1]["lr"])
    assert seen == [0.6, 0.6, 0.6, 0.3]


@given(
    scores=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    patience=st.integers(1, 4),
    frozen=st.integers(0, 4),
    data=st.data(),
)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    scores: list[int], patience: int, frozen: int, data: st.DataObject
) -> None:
    values = [float(s) for s in scores]
    whole, _ = run(values, patience, frozen=frozen)
    done = data.draw(st.integers(0, len(whole.history)))
    _, rates = rates_of(Settings(plateau_patience=NEVER))
    history = whole.history[:done]
    loop = EpochLoop(len(values), patience, rates, history=history)
    loop.resume([(s, 0.0) for s in history], [k > frozen for k in range(1, done + 1)])
    for epoch in loop:
        loop.add(values[epoch - 1], (values[epoch - 1], 0.0), epoch > frozen)
    assert loop.history == whole.history
    assert loop.best_epoch == whole.best_epoch


def test_an_epoch_that_is_not_added_is_a_mistake() -> None:
    _, rates = rates_of(Settings())
    loop = EpochLoop[None](3, NEVER, rates)
    with pytest.raises(RuntimeError, match="epoch 1 was not added"):
        list(itertools.islice(loop, 2))
