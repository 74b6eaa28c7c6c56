from __future__ import annotations

from pathlib import Path

import pytest
import torch
from finetune_example import tiny_config, train_tiny

from extractor.finetune import loop as module
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.loop import Trained
from extractor.finetune.saver import Saver
from extractor.workers import ALONE

CONFIG = tiny_config(epochs=3, patience=3)


class Beside(Saver):
    """What a card has: a thread that writes."""

    def __init__(self, checkpoints: CheckpointFolder, device: torch.device) -> None:
        super().__init__(checkpoints, device, beside=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def trained(folder: Path) -> Trained:
    return train_tiny(CONFIG, folder, ALONE)


def test_beside_the_training_the_same_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each state is that of its epoch, although its tensors are trained on meanwhile."""
    at_once = trained(tmp_path / "at_once")
    monkeypatch.setattr(module, "Saver", Beside)
    beside = trained(tmp_path / "beside")
    assert files(tmp_path / "beside") == files(tmp_path / "at_once")
    assert beside.history == at_once.history
    assert all(torch.equal(beside.weights[k], v) for k, v in at_once.weights.items())


@pytest.mark.parametrize("last", [False, True])
def test_what_cannot_be_written_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    saved: list[int] = []

    def full(self: CheckpointFolder, checkpoint: object) -> None:
        saved.append(1)
        if len(saved) == (3 if last else 1):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "Saver", Beside)
    monkeypatch.setattr(CheckpointFolder, "save", full)
    with pytest.raises(OSError, match="No space left"):
        trained(tmp_path)
    assert len(saved) < 4
