"""Inside a training step nothing waits for the device; a CPU plays the card."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from finetune_example import pictures, tiny_backbone, tiny_config
from waiting_example import CARD, NothingWaits, Waited, card_without_values, on_card

from extractor.config_finetune import AugmentConfig, FinetuneConfig
from extractor.distributed import ALONE
from extractor.finetune import feed as feed_module
from extractor.finetune import loop as module
from extractor.finetune.augment import augmenter
from extractor.finetune.batches import Step, plan_epoch
from extractor.finetune.classifier import Classifier, set_training_mode
from extractor.finetune.ema import WeightAverage
from extractor.finetune.feed import Fed
from extractor.finetune.optimiser import make_optimiser
from extractor.finetune.runner import Runner
from extractor.finetune.shelf import Resident
from extractor.finetune.varied import COLUMNS, varied
from featurestore.progress import SILENT

CPU = torch.device("cpu")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPU varies and holds pictures as a card does; steps are watched, and counted."""
    done: list[int] = []
    step = module._Loop._step

    def watched_step(self: module._Loop, *args: object) -> None:
        with NothingWaits():
            step(self, *args)  # type: ignore[arg-type]
        done.append(1)

    monkeypatch.setattr(feed_module, "varies", lambda device: True)
    monkeypatch.setattr(feed_module, "shelf_of", Resident)
    monkeypatch.setattr(module._Loop, "_step", watched_step)
    return done


def loop_of(config: FinetuneConfig) -> module._Loop:
    return module._Loop(
        tiny_backbone(config), pictures(22, 1), pictures(14, 2, 32),
        augmenter(config.augment, 32), config, 0, ALONE, CPU,
    )  # fmt: skip


@pytest.mark.parametrize("scaled", [False, True])
def test_no_step_waits(watched: list[int], monkeypatch: pytest.MonkeyPatch, scaled: bool) -> None:
    """With loss scaling too, which float16 of older cards needs."""
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    monkeypatch.setattr(module, "scaler_for", lambda dtype, device: scaler)
    config = tiny_config(accumulate=2, batch_size=8, batch_norm="train")
    loop = loop_of(config)
    row = loop.run_epoch(1, SILENT)
    assert len(watched) == len(plan_epoch(pictures(22, 1).labels, config, 0, 1, ALONE)) == 2
    assert row.train_loss > 0


def test_the_watch_sees_who_waits(watched: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    step = module._Loop._step

    def curious(self: module._Loop, one: Step, passes: Iterator[Fed], total: torch.Tensor) -> None:
        if next(passes)[1].sum() > 0:
            step(self, one, passes, total)

    monkeypatch.setattr(module._Loop, "_step", curious)
    with NothingWaits(), pytest.raises(Waited, match=r"_local_scalar_dense|is_nonzero"):
        loop_of(tiny_config()).run_epoch(1, SILENT)
    for wait in (lambda x: x[x > 1], lambda x: x.nonzero(), lambda x: float(x[0])):
        with NothingWaits(), pytest.raises(Waited):
            wait(torch.arange(3.0))


def test_on_a_card_all_of_a_step_lies_on_the_card() -> None:
    """Without values; the backward pass needs a card and is not in it."""
    config = tiny_config()
    model = Classifier(tiny_backbone(config), 0.5, 0)
    average = WeightAverage(model, 0.9)
    with card_without_values():
        on_card(model)
        on_card(average.module)
        set_training_mode(model, train_statistics=True)
        optimiser = make_optimiser(model, config)
        squares = torch.empty((8, 36, 36, 3), dtype=torch.uint8, device=CARD)
        table, labels = torch.empty((8, COLUMNS), device=CARD), torch.empty(8, device=CARD)
        pixels = varied(squares.permute(0, 3, 1, 2), table, AugmentConfig(), 32)
        assert (pixels.shape, pixels.device) == ((8, 3, 32, 32), CARD)
        losses: list[torch.Tensor] = []
        runner = Runner(CARD, torch.float32, 0.05, True, recovers=False)
        found = runner.gradients(model, iter([(pixels, labels)]), 1, lambda: None, losses.append)
        assert [loss.device for loss in (*losses, *found)] == [CARD, CARD]
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimiser.step()
        average.update(model)
        with pytest.raises(RuntimeError, match="device"):
            model(pixels.cpu())
