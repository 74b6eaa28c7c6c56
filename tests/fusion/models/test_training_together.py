"""Heads trained together: each as if it were alone, whatever its company."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from waiting_example import CARD, NothingWaits, card_without_values

import fusion.models.training_together as training_together
from featurestore.errors import DataError
from fusion.config import HeadConfig
from fusion.models.head_rows import HeadRows
from fusion.models.head_stack import StackedBatch, StackedHeads, parts_of
from fusion.models.heads import HEADS
from fusion.models.threads import single_thread
from fusion.models.training import HeadData, TrainingResult, predict_logits
from fusion.models.training_together import HeadFit, train, train_all

DIMS = {"image": 70, "clinical": 5}
"""One modality is wide enough for a learning rate of its own."""
SMALL = HeadConfig(
    projection=32,
    hidden=(32,),
    epochs=6,
    patience=3,
    plateau_patience=1,
    batch_size=32,
    batched=True,
)
CALM = SMALL.model_copy(update={"dropout": 0.0, "modality_dropout": 0.0})
TOLERANCE = 1e-5


def data(n: int, seed: int) -> HeadData:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(n, 70)), rng.normal(size=(n, 5))
    y = (x[:, 0] + z[:, 0] + 0.5 * rng.normal(size=n) > 0.3).astype(np.float32)
    present = {name: torch.ones(n, dtype=torch.bool) for name in DIMS}
    present["clinical"][::7] = False
    return HeadData(
        {
            "image": torch.as_tensor(x, dtype=torch.float32),
            "clinical": torch.as_tensor(z, dtype=torch.float32),
        },
        present,
        torch.as_tensor(y),
        np.array([f"P{i // 2:04d}" if i < 20 else f"P{i:04d}" for i in range(n)], dtype=object),
    )


def fits(config: HeadConfig, seeds: Iterable[int], variant: str = "concat") -> list[HeadFit]:
    """Heads with rows of their own, whose numbers and last batches differ."""
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        head = HEADS[variant](DIMS, config)
        made.append(HeadFit(head, data(80 + seed % 3, seed), data(40 + seed % 2, 99), config, seed))
    return made


def trained(made: list[HeadFit]) -> list[TrainingResult]:
    with single_thread():
        return [result for _, result in train(made)]


def bytes_of(fit: HeadFit, result: TrainingResult) -> tuple[Any, ...]:
    """All that a training leaves."""
    state = {name: value.numpy().tobytes() for name, value in fit.head.state_dict().items()}
    return result, state, probability(fit).tobytes()


def probability(fit: HeadFit) -> np.ndarray:
    return 1 / (1 + np.exp(-predict_logits(fit.head, data(50, 98))))


@pytest.mark.parametrize("variant", list(HEADS))
@pytest.mark.parametrize("weighted", [False, True])
def test_heads_end_as_those_trained_one_by_one(variant: str, weighted: bool) -> None:
    config = CALM.model_copy(update={"weighted_sampling": weighted})
    together = fits(config, [0, 1, 2, 4], variant)
    alone = fits(config.model_copy(update={"batched": False}), [0, 1, 2, 4], variant)
    for fit in alone:
        for layer in fit.head.modules():
            if isinstance(layer, nn.Sequential) and isinstance(layer[0], nn.Linear):
                layer[0].bias.requires_grad_(False)  # batch normalisation takes it away again
    found, expected = trained(together), trained(alone)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.best_epoch == theirs.best_epoch
        assert len(ours.history) == len(theirs.history)
        for a, b in zip(ours.history, theirs.history, strict=True):
            assert a == pytest.approx(b, abs=TOLERANCE)
    for own, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(probability(own), probability(other), rtol=0, atol=TOLERANCE)
        assert not own.head.training
        assert all(p.device.type == "cpu" for p in own.head.parameters())


@pytest.mark.parametrize("variant", list(HEADS))
def test_a_heads_bytes_do_not_depend_on_its_company(variant: str) -> None:
    config = SMALL.model_copy(update={"epochs": 3, "patience": 1})
    ways = [[[k] for k in range(15)], [[3, 1], [14, 0]], [list(reversed(range(15)))]]
    left: list[dict[int, Any]] = []
    for companies in ways:
        left.append({})
        for seeds in companies:
            made = fits(config, seeds, variant)
            for fit, result in zip(made, trained(made), strict=True):
                left[-1][fit.seed] = bytes_of(fit, result)
    alone, of_two, of_all = left
    assert {len(result[0].history) for result in alone.values()} == {2, 3}  # some leave the others
    assert of_all == alone
    assert of_two == {seed: alone[seed] for seed in of_two}


def test_heads_that_leave_registers_empty_keep_their_bytes_too() -> None:
    config = SMALL.model_copy(update={"projection": 7, "hidden": (9,), "epochs": 2})
    several, alone = fits(config, [0, 1, 2]), fits(config, [2])
    (expected,) = trained(alone)
    assert bytes_of(several[2], trained(several)[2]) == bytes_of(alone[0], expected)


def test_dropout_is_each_heads_own_and_lets_it_learn() -> None:
    config = SMALL.model_copy(update={"dropout": 0.2, "learning_rate": 0.01, "patience": 9})
    same = fits(config, [0, 0])
    other = dataclasses.replace(same[1], seed=7)
    results = trained([same[0], other])
    assert results[0].history != results[1].history
    for result in results:
        assert result.history[-1]["train_loss"] < 0.9 * result.history[0]["train_loss"]


def test_steps_are_those_of_adamw() -> None:
    config = CALM.model_copy(update={"learning_rate": 0.02, "weight_decay": 0.3})
    heads = [fit.head for fit in fits(config, [0, 1])]
    stack = StackedHeads.of(heads, torch.device("cpu"))
    rows = HeadRows.of([data(32, 5), data(32, 6)], torch.device("cpu"))
    batch = StackedBatch(*rows.take(torch.arange(64).view(2, 32)), torch.empty(2, 32, 0))
    rates = [[0.02, 0.01], [0.03, 0.004]]  # of each head, for plain and wide parts
    optimizers = []
    for head, own in zip(heads, rates, strict=True):
        names = parts_of(head)
        parameters = dict(head.named_parameters())
        groups = [
            {"params": [parameters[name] for name in part], "lr": rate}
            for part, rate in zip(names, own, strict=True)
        ]
        optimizers.append(torch.optim.AdamW(groups, weight_decay=0.3))
    for _ in range(5):
        stack.step(batch, rates, 0.3)
        for k, (head, optimizer) in enumerate(zip(heads, optimizers, strict=True)):
            shown = {name: x[k] for name, x in batch.shown.items()}
            optimizer.zero_grad()
            logits = head.train().fused(shown, batch.mask[k])
            losses = nn.functional.binary_cross_entropy_with_logits(
                logits, batch.y[k], weight=batch.weights[k], reduction="none"
            )
            losses.mean().backward()
            optimizer.step()
    for k, head in enumerate(heads):
        for name, value in stack.state(stack.values, k).items():
            torch.testing.assert_close(value, head.state_dict()[name], atol=2e-6, rtol=1e-5)


def test_heads_of_different_shapes_are_each_trained() -> None:
    wide = SMALL.model_copy(update={"projection": 64})
    made = [*fits(SMALL, [0]), *fits(wide, [1]), *fits(SMALL, [2], "gated")]
    with single_thread():
        results = train_all(made)
    assert all(result.best_epoch > 0 for result in results)
    assert [fit.head.output.in_features for fit in made] == [32] * 3
    assert all(np.isfinite(probability(fit)).all() for fit in made)


def test_heads_are_made_as_memory_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    companies: list[tuple[int, int]] = []

    def asked() -> Iterator[HeadFit]:
        for fit in fits(SMALL.model_copy(update={"epochs": 1}), [0, 3, 6, 9, 12]):
            made.append(fit.seed)
            yield fit

    def answer(company: Sequence[HeadFit]) -> list[TrainingResult]:
        companies.append((len(company), len(made)))
        return train_all(company)

    size = fits(SMALL, [0])[0].size
    assert size == 4 * (80 * 75 + 40 * 75 + 80 * (2 * 34 + 32))
    monkeypatch.setattr(training_together, "train_all", answer)
    monkeypatch.setattr(training_together, "TOGETHER_BYTES", 2 * size + 2000)
    with single_thread():
        assert len(list(train(asked()))) == 5
    assert companies == [(2, 3), (2, 5), (1, 5)]


def test_a_company_is_halved_where_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, made = fits(SMALL, range(5)), fits(SMALL, range(5))
    before = trained(expected)
    train_stack = training_together._train_stack

    def small(company: Sequence[HeadFit], device: torch.device) -> list[TrainingResult]:
        if len(company) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_stack(company, device)

    monkeypatch.setattr(training_together, "_train_stack", small)
    after = trained(made)
    for now, then in zip(after, before, strict=True):
        assert now.history == then.history
        assert "ran out of memory" in now.notice
        assert not then.notice


def test_a_step_does_not_wait_for_a_device() -> None:
    rows = HeadRows.of([fit.training for fit in fits(SMALL, [0, 1])], torch.device("cpu"))
    stack = StackedHeads.of([fit.head for fit in fits(SMALL, [0, 1])], torch.device("cpu"))
    order = torch.arange(64).view(2, 32)
    noise = torch.rand((2, 32, stack.noise_width))
    with NothingWaits():
        shown, mask, y, weights = rows.take(order)
        stack.step(StackedBatch(shown, mask, y, weights, noise), [[1e-3, 1e-3]] * 2, 0.01)


@pytest.mark.parametrize("variant", list(HEADS))
def test_on_a_card_all_of_a_step_lies_on_the_card(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without values; the backward pass needs a card and is not in it."""
    made = fits(SMALL, [0, 1, 2], variant)
    stack = StackedHeads.of([fit.head for fit in made], torch.device("cpu"))
    rows = HeadRows.of([fit.training for fit in made], torch.device("cpu"))

    def like(values: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        return [torch.empty(x.shape, dtype=x.dtype, device=CARD) for x in values]

    monkeypatch.setattr(torch.autograd, "grad", lambda loss, leaves: like(leaves))
    with card_without_values(), NothingWaits():
        stack = StackedHeads(stack._plan, like(stack.values), like(stack._tensors[-3:]))
        mask, y, weights = like([rows.mask, rows.y, rows.weights])
        shown = dict(zip(rows.shown, like(rows.shown.values()), strict=True))  # type: ignore[arg-type]
        rows = HeadRows(dict(shown), mask, y, weights, rows.starts)
        order = torch.zeros((3, 32), dtype=torch.int64, device=CARD)
        noise = torch.empty((3, 32, stack.noise_width), device=CARD)
        losses = stack.step(StackedBatch(*rows.take(order), noise), [[1e-3, 1e-4]] * 3, 0.01)
        index = torch.zeros(2, dtype=torch.int64, device=CARD)
        some = stack.take(index)
        some.step(StackedBatch(*rows.take(order[index]), noise[index]), [[1e-3, 1e-4]] * 2, 0.01)
        stack.put(index, some)
        logits = stack.logits(*rows.take(order)[:2])
        assert losses.device == logits.device == CARD
        assert (losses.shape, logits.shape) == ((3,), (3, 32))
        with pytest.raises(RuntimeError, match="device"):
            stack.logits({name: x.cpu() for name, x in rows.take(order)[0].items()}, mask)


def test_one_outcome_only_is_a_clear_error() -> None:
    made = fits(SMALL, [0, 1])
    made[1].validation.y[:] = 0
    with pytest.raises(DataError, match="inner validation part has 41 rows, 0 of them events"):
        trained(made)


def test_callers_randomness_is_left_alone() -> None:
    made = fits(SMALL, [0])
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(made)
    assert torch.equal(torch.rand(3), expected)


def test_a_card_without_batches_is_refused() -> None:
    with pytest.raises(ValueError, match="device: cuda needs batched: true"):
        HeadConfig(device="cuda")
