"""A card that runs out of memory, played by a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetune_example import tiny_config, train_tiny, train_watched

from extractor.distributed import ALONE
from extractor.finetune.classifier import Classifier
from extractor.finetune.runner import Runner
from featurestore.errors import ConfigError

CPU = torch.device("cpu")


@contextmanager
def memory_for(
    monkeypatch: pytest.MonkeyPatch, images: int, backward: bool = False
) -> Iterator[list[int]]:
    """Training passes of more images run out, on their way forward or back; yields their sizes."""
    tried: list[int] = []
    forward = Classifier.forward

    hooks: list[Any] = []

    def run_out(*_: object) -> None:
        while hooks:
            hooks.pop().remove()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def limited(self: Classifier, pictures: torch.Tensor) -> torch.Tensor:
        logits = forward(self, pictures)
        if self.training:
            tried.append(len(pictures))
        if len(pictures) > images:
            if backward and self.training:
                first = next(self.trunk.parameters())  # all others have their gradient already
                hooks.append(first.register_hook(run_out))
            else:
                run_out()
        return logits

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "forward", limited)
        yield tried


@pytest.mark.parametrize(("accumulate", "backward"), [(1, False), (2, True)])
def test_steps_keep_their_gradient_where_passes_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int, backward: bool
) -> None:
    config = tiny_config(epochs=1, batch_norm="frozen", accumulate=accumulate)
    whole, expected = train_watched(config, tmp_path / "whole", ALONE, 22)
    with memory_for(monkeypatch, 3, backward) as tried:
        cut, found = train_watched(config, tmp_path / "cut", ALONE, 22)
    assert max(tried) > 3
    assert set(tried[-4:]) <= {1, 2, 3}
    assert len(found) == len(expected)
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    (row,), (wanted,) = cut.history, whole.history
    assert row.train_loss == pytest.approx(wanted.train_loss, rel=1e-4)
    assert row.validation_loss == pytest.approx(wanted.validation_loss, rel=1e-3)


def test_people_are_told_what_became_of_the_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told:
        summary = ""

        def start(self, stage: str, total: int) -> None: ...
        def advance(self, n: int = 1, detail: str = "") -> None: ...
        def finish(self, summary: str = "") -> None:
            self.summary = summary

    for batch_norm, caveat in (("train", True), ("frozen", False)):
        told = Told()
        with memory_for(monkeypatch, 5):
            config = tiny_config(epochs=1, batch_norm=batch_norm)
            train_tiny(config, tmp_path / batch_norm, ALONE, progress=told)
        assert "cpu ran out of memory: passes are cut to 4 pictures" in told.summary
        assert "steps stay as large" in told.summary
        assert ("batch normalisation learns from as few" in told.summary) is caveat


def test_without_memory_for_one_picture_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        memory_for(monkeypatch, 0),
        pytest.raises(ConfigError, match="no memory for a single picture: lower") as raised,
    ):
        train_tiny(tiny_config(epochs=1), tmp_path, ALONE)
    assert "\n" not in str(raised.value)


def runner(recovers: bool = True) -> Runner:
    return Runner(CPU, torch.float32, 0.0, trains_statistics=True, recovers=recovers)


def failing(error: RuntimeError) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(pixels: torch.Tensor) -> torch.Tensor:
        raise error

    return forward


def test_passes_that_other_processes_take_part_in_are_not_cut() -> None:
    lack = failing(torch.OutOfMemoryError("CUDA out of memory."))
    passes = iter([(torch.zeros(4, 3, 2, 2), torch.zeros(4))])
    with pytest.raises(ConfigError, match="no memory for passes of 4 pictures"):
        runner(recovers=False).gradients(lack, passes, 1, lambda: None, lambda loss: None)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    passes = iter([(torch.zeros(4, 3, 2, 2), torch.zeros(4))])
    with pytest.raises(RuntimeError, match="sizes differ"):
        runner().gradients(
            failing(RuntimeError("sizes differ")), passes, 1, lambda: None, lambda loss: None
        )


def test_a_network_that_cannot_be_compiled_is_one_line() -> None:
    broken = failing(torch._dynamo.exc.TorchDynamoException("no compiler\nwas found"))
    passes = iter([(torch.zeros(4, 3, 2, 2), torch.zeros(4))])
    with pytest.raises(ConfigError, match="set compile to false") as raised:
        runner().gradients(broken, passes, 1, lambda: None, lambda loss: None)
    assert "\n" not in str(raised.value)
