"""A training killed at any moment ends, once resumed, with the bytes of an uninterrupted one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from finetune_example import TINY, tiny_config, write_samples

import extractor
from extractor.finetune import Finetuned, TrainingSamples, Workplace, finetune

CONFIG = tiny_config(epochs=4, patience=9, weighted_sampling=True, unfreeze=1)
REPOSITORY = Path(extractor.__file__).resolve().parents[1]

# The child's program: dies in the second epoch, between two, or while it writes a checkpoint.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from extractor.config_finetune import FinetuneConfig
from extractor.finetune import Workplace, checkpoint, finetune
from finetune_example import TINY, write_samples

moment, root, config = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Progress:
    images = 0
    training = False
    def start(self, stage, total):
        self.training = stage.startswith("finetune")
    def finish(self, summary=""):
        pass
    def advance(self, n=1, detail=""):
        self.images += n if self.training else 0
        if moment == "in an epoch" and self.images > 40:
            die()

save, write_text = checkpoint.CheckpointFolder.save, checkpoint.write_text

def save_and_die(self, state):
    save(self, state)
    if state.epoch == 2:
        die()

def die_before_the_record(path, text):
    if path.name == "epoch-0002.json":
        die()
    write_text(path, text)

def die_in_the_tensors(tensors, path):
    if path.name == "epoch-0003.safetensors":
        with checkpoint.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            die()
    return save_tensors(tensors, path)

save_tensors = checkpoint.save_tensors
if moment == "between epochs":
    checkpoint.CheckpointFolder.save = save_and_die
elif moment == "before the record":
    checkpoint.write_text = die_before_the_record
elif moment == "in the tensors":
    checkpoint.save_tensors = die_in_the_tensors
parts = write_samples(root, 22, "training", 1), write_samples(root, 12, "validation", 2)
config = FinetuneConfig.model_validate_json(config)
finetune(*parts, TINY, config, 0, Workplace(root, root / "killed", Progress()))
"""


def run(parts: tuple[TrainingSamples, TrainingSamples], folder: Path) -> Finetuned:
    return finetune(*parts, TINY, CONFIG, 0, Workplace(folder.parent, folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "complete"),
    [
        ("in an epoch", {"epoch-0001"}),
        ("between epochs", {"epoch-0001", "epoch-0002"}),
        ("before the record", {"epoch-0001"}),
        ("in the tensors", {"epoch-0001", "epoch-0002"}),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(
    tmp_path: Path, moment: str, complete: set[str]
) -> None:
    parts = write_samples(tmp_path, 22, "training", 1), write_samples(tmp_path, 12, "validation", 2)
    expected = run(parts, tmp_path / "whole")
    here = Path(__file__).parent
    paths = [str(folder) for folder in (REPOSITORY, here, here.parent)]
    program = f"import sys; sys.path[:0] = {paths!r}\n{PROGRAM}"
    arguments = [sys.executable, "-c", program, moment, str(tmp_path), CONFIG.model_dump_json()]
    child = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    found = {p.stem for p in (tmp_path / "killed" / "checkpoints").glob("epoch-*.json")}
    assert found == complete
    resumed = run(parts, tmp_path / "killed")
    assert resumed.history == expected.history
    assert resumed.weights.read_bytes() == expected.weights.read_bytes()
    assert list((tmp_path / "killed" / "checkpoints").iterdir()) == []
