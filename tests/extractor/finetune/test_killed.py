"""A training killed at any moment ends, once resumed, with the bytes of an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from finetune_example import TINY, tiny_config, write_samples

import extractor
from extractor.finetune import Finetuned, TrainingSamples, Workplace, finetune

CONFIG = tiny_config(epochs=4, patience=9, weighted_sampling=True, unfreeze=1)
REPOSITORY = Path(extractor.__file__).resolve().parents[1]

# For each moment a child that trains and dies: in the second epoch, between two, or while it writes
# a checkpoint. They are forked before anything was computed, so that torch is imported once.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
from extractor.config_finetune import FinetuneConfig
from extractor.finetune import Workplace, checkpoint, finetune
from finetune_example import TINY, write_samples

root, config, *moments = sys.argv[1:]
root, config = Path(root), FinetuneConfig.model_validate_json(config)

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
parts = write_samples(root, 22, "training", 1), write_samples(root, 12, "validation", 2)
codes = {}
for moment in moments:
    child = os.fork()
    if child:
        codes[moment] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        continue
    if moment == "between epochs":
        checkpoint.CheckpointFolder.save = save_and_die
    elif moment == "before the record":
        checkpoint.write_text = die_before_the_record
    elif moment == "in the tensors":
        checkpoint.save_tensors = die_in_the_tensors
    try:
        finetune(*parts, TINY, config, 0, Workplace(root, root / moment, Progress()))
    finally:
        os._exit(1)
print(json.dumps(codes))
"""
COMPLETE = {
    "in an epoch": {"epoch-0001"},
    "between epochs": {"epoch-0001", "epoch-0002"},
    "before the record": {"epoch-0001"},
    "in the tensors": {"epoch-0001", "epoch-0002"},
}
"""Checkpoints that a training leaves, by the moment at which it is killed."""


@dataclasses.dataclass(frozen=True)
class Trainings:
    """A whole training and killed ones on the same pictures.

    Attributes:
        root: Folder of the pictures; a killed training is in the folder of its moment.
        parts: Training and validation part.
        whole: What came of the uninterrupted one.
        codes: How each killed one ended, by its moment.
    """

    root: Path
    parts: tuple[TrainingSamples, TrainingSamples]
    whole: Finetuned
    codes: dict[str, int]


def run(root: Path, parts: tuple[TrainingSamples, TrainingSamples], name: str) -> Finetuned:
    return finetune(*parts, TINY, CONFIG, 0, Workplace(root, root / name))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Trainings:
    root = tmp_path_factory.mktemp("trainings")
    here = Path(__file__).parent
    paths = [str(folder) for folder in (REPOSITORY, here, here.parent)]
    program = f"import sys; sys.path[:0] = {paths!r}\n{PROGRAM}"
    arguments = [sys.executable, "-c", program, str(root), CONFIG.model_dump_json(), *COMPLETE]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = write_samples(root, 22, "training", 1), write_samples(root, 12, "validation", 2)
    return Trainings(root, parts, run(root, parts, "whole"), json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("moment", COMPLETE)
def test_killed_and_resumed_equals_uninterrupted(trainings: Trainings, moment: str) -> None:
    assert trainings.codes[moment] == -9
    checkpoints = trainings.root / moment / "checkpoints"
    assert {p.stem for p in checkpoints.glob("epoch-*.json")} == COMPLETE[moment]
    resumed = run(trainings.root, trainings.parts, moment)
    assert resumed.history == trainings.whole.history
    assert resumed.weights.read_bytes() == trainings.whole.weights.read_bytes()
    assert list(checkpoints.iterdir()) == []
