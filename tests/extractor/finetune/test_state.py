from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from finetune_example import TINY, pictures, tiny_config

from extractor.backbones import load_backbone
from extractor.config_finetune import FinetuneConfig
from extractor.epochs import Rates
from extractor.finetune.checkpoint import Checkpoint, CheckpointRefused
from extractor.finetune.classifier import Classifier
from extractor.finetune.ema import WeightAverage
from extractor.finetune.optimiser import make_optimiser
from extractor.finetune.state import EpochRow, TrainingState


def fresh(config: FinetuneConfig, seed: int = 0) -> TrainingState:
    model = Classifier(load_backbone(TINY, seed, Path()), 0.5, seed)
    optimiser = make_optimiser(model, config)
    return TrainingState(
        model=model,
        optimiser=optimiser,
        rates=Rates(optimiser, config),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        average=WeightAverage(model, config.ema_decay) if config.ema_decay else None,
    )


def step(state: TrainingState, seed: int) -> None:
    data = pictures(6, seed, 32)
    pixels = torch.stack([torch.from_numpy(s).permute(2, 0, 1) for s in data.squares])
    state.optimiser.zero_grad()
    state.model(pixels).pow(2).mean().backward()
    state.rates.before_step(0, 1)
    state.optimiser.step()
    if state.average is not None:
        state.average.update(state.model)


def after_an_epoch(config: FinetuneConfig, steps: int = 3) -> TrainingState:
    state = fresh(config)
    for seed in range(steps):
        step(state, seed)
    state.rates.after_epoch(1, 0.7)
    state.history.append(EpochRow(1, 0.6, 0.5, 0.7, 1e-4, 1e-3, 5))
    return state


def assert_equal(a: TrainingState, b: TrainingState) -> None:
    first, second = a.capture(), b.capture()
    assert first.tensors.keys() == second.tensors.keys()
    for name in first.tensors:
        assert torch.equal(first.tensors[name], second.tensors[name]), name
    assert first.record == second.record


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_restored_training_goes_on_to_the_same_bits(ema_decay: float) -> None:
    config = tiny_config(ema_decay=ema_decay, warmup_epochs=0)
    state = after_an_epoch(config)
    kept = {name: t.clone() for name, t in state.capture().tensors.items()}
    checkpoint = dataclasses.replace(state.capture(), tensors=kept)
    resumed = fresh(config, seed=5)
    resumed.restore(checkpoint)
    assert_equal(state, resumed)
    for seed in range(10, 13):
        step(state, seed)
        step(resumed, seed)
    assert_equal(state, resumed)
    assert any(not torch.equal(kept[n], t) for n, t in state.capture().tensors.items())


def test_blocks_that_were_never_released_have_no_moments() -> None:
    config = tiny_config()
    state = fresh(config)
    for parameter in state.model.trunk.parameters():
        parameter.requires_grad_(False)
    step(state, 0)
    state.history.append(EpochRow(1, 0.6, 0.5, 0.7, 1e-4, 1e-3, 0))
    moments = {n for n in state.capture().tensors if n.startswith("optimiser.")}
    assert moments == {
        f"optimiser.{moment}.head.{name}"
        for moment in ("step", "exp_avg", "exp_avg_sq")
        for name in ("weight", "bias")
    }
    resumed = fresh(config, seed=1)
    resumed.restore(state.capture())
    assert_equal(state, resumed)


def without(name: str) -> Callable[[Checkpoint], Checkpoint]:
    def change(good: Checkpoint) -> Checkpoint:
        kept = {n: t for n, t in good.tensors.items() if not n.startswith(name)}
        return dataclasses.replace(good, tensors=kept)

    return change


def with_tensor(name: str, tensor: torch.Tensor) -> Callable[[Checkpoint], Checkpoint]:
    return lambda good: dataclasses.replace(good, tensors=dict(good.tensors) | {name: tensor})


def with_record(**changes: Any) -> Callable[[Checkpoint], Checkpoint]:
    return lambda good: dataclasses.replace(good, record=dict(good.record) | changes)


def with_rates(**changes: Any) -> Callable[[Checkpoint], Checkpoint]:
    return lambda good: with_record(rates=good.record["rates"] | changes)(good)


MISFITS: dict[str, tuple[Callable[[Checkpoint], Checkpoint], str]] = {
    "no average": (without("average."), "it holds model"),
    "a part more": (with_tensor("other.x", torch.ones(1)), "it holds average, model, other"),
    "a weight less": (without("model.head.bias"), "1 tensors are missing"),
    "a weight more": (with_tensor("model.x", torch.ones(1)), "those of another model: x"),
    "another shape": (with_tensor("model.head.bias", torch.ones(2)), "another model: head.bias"),
    "another type": (
        with_tensor("model.head.bias", torch.ones(1, dtype=torch.float64)),
        "those of another model: head.bias",
    ),
    "half of the moments": (without("optimiser.exp_avg."), "moments of the optimiser are missing"),
    "moments of others": (
        with_tensor("optimiser.exp_avg.x", torch.ones(1)),
        "those of another model: exp_avg.x",
    ),
    "fewer rates": (with_rates(lr=[0.1]), "it has 1 learning rates, not"),
    "no rates": (with_record(rates=None), "its state is malformed: rates"),
    "an unknown key": (with_record(extra=1), "its state is malformed: extra"),
    "no history": (with_record(history=[]), "its history is not that of its epochs"),
    "another best": (lambda good: dataclasses.replace(good, best_epoch=2), "its best epoch is not"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_checkpoint_that_does_not_fit_changes_nothing(name: str) -> None:
    config = tiny_config(ema_decay=0.9)
    change, reason = MISFITS[name]
    bad = change(after_an_epoch(config).capture())
    state = after_an_epoch(config, steps=1)
    kept = {n: t.clone() for n, t in state.capture().tensors.items()}
    with pytest.raises(CheckpointRefused, match=reason):
        state.restore(bad)
    now = state.capture()
    assert all(torch.equal(kept[n], t) for n, t in now.tensors.items())
    assert now.record == after_an_epoch(config, steps=1).capture().record


def test_the_best_epoch_is_the_first_of_the_highest_auroc_then_of_the_lowest_loss() -> None:
    state = fresh(tiny_config())
    assert state.best is None
    scores = [(0.6, 0.5), (0.8, 0.5), (0.8, 0.4), (0.8, 0.4), (0.7, 0.1)]
    for epoch, (auroc, loss) in enumerate(scores, start=1):
        state.history.append(EpochRow(epoch, 0.6, loss, auroc, 1e-4, 1e-3, 5))
    assert state.best is state.history[2]
