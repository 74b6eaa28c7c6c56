"""Training of heads: what stops it, what it keeps, what it counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss

import fusion.models.training
from extractor.epochs import LEAST_RATE_SHARE, Rates
from featurestore.errors import DataError
from fusion.config import HeadConfig
from fusion.models.heads import FusionHead
from fusion.models.threads import single_thread
from fusion.models.training import (
    PLATEAU_THRESHOLD,
    HeadData,
    HeadRates,
    TrainingResult,
    predict_logits,
    seeded,
    train_head,
    validate,
)

DIMS = {"image": 6, "clinical": 3}
SMALL = HeadConfig(projection=8, hidden=(8,), epochs=12, patience=12, batch_size=16)


def data(n: int, seed: int, rows_each: int = 1) -> HeadData:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(n, 6)), rng.normal(size=(n, 3))
    y = (x[:, 0] + z[:, 0] + 0.5 * rng.normal(size=n) > 0.3).astype(np.float32)
    rows = np.repeat(np.arange(n), rows_each)
    present = {name: torch.ones(len(rows), dtype=torch.bool) for name in DIMS}
    present["clinical"][::7] = False
    return HeadData(
        {
            "image": torch.as_tensor(x[rows], dtype=torch.float32),
            "clinical": torch.as_tensor(z[rows], dtype=torch.float32),
        },
        present,
        torch.as_tensor(y[rows]),
        np.array([f"P{i:04d}" for i in rows], dtype=object),
    )


def fit(
    config: HeadConfig = SMALL, seed: int = 0, training: HeadData | None = None
) -> tuple[FusionHead, TrainingResult]:
    with seeded(seed, torch.device("cpu")), single_thread():
        head = FusionHead(DIMS, config)
        result = train_head(head, training or data(90, 1), data(60, 2), config, seed)
    return head, result


def weights(head: FusionHead) -> bytes:
    return b"".join(v.numpy().tobytes() for v in head.state_dict().values())


def test_a_head_learns_and_its_history_is_complete() -> None:
    head, result = fit()
    assert len(result.history) == 12
    assert set(result.history[0]) == {
        "epoch",
        "train_loss",
        "validation_loss",
        "validation_auroc",
        "validation_auprc",
        "validation_f1",
        "validation_accuracy",
        "learning_rate",
    }
    assert [h["epoch"] for h in result.history] == list(range(1, 13))
    assert all(np.isfinite(list(h.values())).all() for h in result.history)
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert result.history[result.best_epoch - 1]["validation_auroc"] > 0.85
    assert not head.training


def test_the_best_epoch_is_restored() -> None:
    config = SMALL.model_copy(update={"learning_rate": 0.03, "epochs": 30, "patience": 10})
    head, result = fit(config, training=data(30, 1))
    assert result.best_epoch < len(result.history)
    again = validate(head, data(60, 2))
    best = result.history[result.best_epoch - 1]
    assert {k: best[k] for k in again} == again
    top = max(h["validation_auroc"] for h in result.history)
    assert best["validation_auroc"] == top


def _scripted(monkeypatch: pytest.MonkeyPatch, auroc: list[float], loss: list[float]) -> None:
    """Replaces the validation figures epoch by epoch."""
    figures = iter(zip(auroc, loss, strict=True))

    def scripted(head: FusionHead, rows: HeadData) -> dict[str, float]:
        a, b = next(figures)
        return {"validation_auroc": a, "validation_loss": b}

    monkeypatch.setattr(fusion.models.training, "validate", scripted)


def test_among_equal_auroc_the_lower_loss_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [0.7, 0.9, 0.9, 0.9, 0.9], [0.6, 0.5, 0.4, 0.4, 0.45])
    _, result = fit(SMALL.model_copy(update={"epochs": 5}))
    assert result.best_epoch == 3


def test_training_stops_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [0.6, 0.8, *[0.7] * 10], [0.5] * 12)
    _, result = fit(SMALL.model_copy(update={"patience": 3}))
    assert (result.best_epoch, len(result.history)) == (2, 5)


def test_the_rate_falls_when_auroc_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [0.7] * 12, [0.5] * 12)
    _, result = fit(SMALL.model_copy(update={"plateau_patience": 2}))
    rates = [h["learning_rate"] for h in result.history]
    assert rates[:5] == [SMALL.learning_rate] * 4 + [SMALL.learning_rate / 2]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] >= SMALL.learning_rate * LEAST_RATE_SHARE


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, second, other = fit(seed=3), fit(seed=3), fit(seed=4)
    assert weights(first[0]) == weights(second[0])
    assert first[1] == second[1]
    assert weights(first[0]) != weights(other[0])


def test_callers_randomness_and_threads_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    before = torch.get_num_threads()
    with single_thread():
        assert torch.get_num_threads() == 1
    fit()
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == before


def test_an_interrupt_gives_threads_and_randomness_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> dict[str, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fusion.models.training, "validate", interrupted)
    before, state = torch.get_num_threads(), torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        fit()
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_patient_counts_once_however_many_rows_it_has() -> None:
    rows = data(4, 0)
    ids = np.array(["a", "b", "b", "b"], dtype=object)
    counted = HeadData(rows.inputs, rows.present, rows.y, ids).row_weights()
    torch.testing.assert_close(counted, torch.tensor([2.0, 2 / 3, 2 / 3, 2 / 3]))
    once, thrice = data(50, 3), data(50, 3, rows_each=3)
    thrice = HeadData(
        thrice.inputs,
        {n: p.repeat_interleave(3) for n, p in once.present.items()},
        thrice.y,
        thrice.patient_ids,
    )
    head, _ = fit()
    ours, theirs = validate(head, once), validate(head, thrice)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_validation_figures_equal_an_independent_reference() -> None:
    head, _ = fit()
    rows = data(70, 9)
    logits = predict_logits(head, rows)
    y, p = rows.y.numpy().astype(int), 1 / (1 + np.exp(-logits))
    figures = validate(head, rows)
    assert figures["validation_loss"] == pytest.approx(log_loss(y, p), rel=1e-6)
    assert figures["validation_f1"] == pytest.approx(f1_score(y, p >= 0.5))
    assert figures["validation_accuracy"] == pytest.approx(accuracy_score(y, p >= 0.5))


@pytest.mark.parametrize("n", [17, 33, 16, 3])
def test_a_last_batch_of_one_row_is_merged(n: int) -> None:
    sizes = [s.stop - s.start for s in fusion.models.training.batches(n, 16)]
    assert sum(sizes) == n
    assert min(sizes) > 1
    rows = data(n, 1)
    rows.y[:2] = torch.tensor([0.0, 1.0])
    fit(SMALL.model_copy(update={"epochs": 1}), training=rows)


def test_weighted_sampling_draws_both_outcomes_equally_often() -> None:
    rows = data(400, 5)
    rows.y[:] = 0
    rows.y[:40] = 1
    config = SMALL.model_copy(update={"weighted_sampling": True})
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat(
        [
            fusion.models.training.draw_rows(rows, rows.row_weights(), config, generator)
            for _ in range(20)
        ]
    )
    assert rows.y[drawn].mean().item() == pytest.approx(0.5, abs=0.02)
    head, _ = fit(config)
    assert validate(head, data(60, 2))["validation_auroc"] > 0.8


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_outcome_only_is_a_clear_error(outcome: float) -> None:
    rows = data(20, 0)
    rows.y[:] = outcome
    with pytest.raises(DataError, match="training part has 20 rows"):
        fit(training=rows)
    with pytest.raises(DataError, match="inner validation part has 20 rows"):
        train_head(FusionHead(DIMS, SMALL), data(20, 1), rows, SMALL, 0)


def test_a_modality_that_nobody_has_in_training_is_no_obstacle() -> None:
    rows = data(60, 1)
    rows.present["clinical"][:] = False
    head, result = fit(training=rows)
    assert np.isfinite(result.history[-1]["train_loss"])
    assert np.isfinite(predict_logits(head, data(10, 3))).all()


def test_rates_are_halved_when_nothing_is_gained_beyond_a_threshold() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    rates = Rates(optimiser, HeadRates(plateau_patience=1), PLATEAU_THRESHOLD)
    for epoch, score in enumerate([0.7, 0.70001, 0.70002], start=1):
        rates.after_epoch(epoch, score)
    assert optimiser.param_groups[0]["lr"] == 0.4
