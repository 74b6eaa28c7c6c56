from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetune_example import TINY, tiny_config, write_samples

from extractor.backbones import load_backbone
from extractor.config_finetune import FinetuneConfig
from extractor.finetune import Finetuned, TrainingSamples, Workplace, finetune
from extractor.finetune import run as module
from extractor.finetune.run import CHECKPOINT_FOLDER, FINISHED_FILE, WEIGHTS_FILE
from featurestore.errors import ConfigError, DataError, LeakageError
from featurestore.progress import SILENT

CONFIG = tiny_config(epochs=3, patience=9)

_opened: list[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None:
        _opened.append(str(arguments[0]))


sys.addaudithook(_hook)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Every file that this process opens inside the block, whatever opens it."""
    global _opened
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


class Telling:
    """Keeps the summaries."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, stage: str, total: int) -> None:
        pass

    def advance(self, n: int = 1, detail: str = "") -> None:
        pass

    def finish(self, summary: str = "") -> None:
        self.told.append(summary)


class Stopping(Telling):
    """Interrupts the training when it has seen so many images."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self._left = images
        self._training = False

    def start(self, stage: str, total: int) -> None:
        self._training = stage == "finetune test_resnet"

    def advance(self, n: int = 1, detail: str = "") -> None:
        self._left -= n if self._training else 0
        if self._left <= 0:
            raise KeyboardInterrupt


Parts = tuple[TrainingSamples, TrainingSamples]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return write_samples(tmp_path, 22, "training", 1), write_samples(tmp_path, 12, "validation", 2)


def run(
    parts: Parts,
    folder: Path,
    config: FinetuneConfig = CONFIG,
    progress: Any = SILENT,
    seed: int = 0,
) -> Finetuned:
    return finetune(*parts, TINY, config, seed, Workplace(folder.parent, folder, progress))


def test_the_result_is_a_backbone_that_can_be_loaded(tmp_path: Path, parts: Parts) -> None:
    result = run(parts, tmp_path / "ft")
    assert result.weights == tmp_path / "ft" / WEIGHTS_FILE
    tuned = TINY.model_copy(update={"weights": str(result.weights)})
    loaded = load_backbone(tuned, 0, Path("/"))
    start = load_backbone(TINY, 0, Path("/"))
    assert loaded.weights.sha256 != start.weights.sha256
    assert loaded.preprocessing == start.preprocessing
    assert loaded.module.state_dict().keys() == start.module.state_dict().keys()
    assert result.best_epoch in {row.epoch for row in result.history}
    assert len(result.history) == 3
    left = {path.name for path in (tmp_path / "ft").iterdir()}
    seals = {f"{FINISHED_FILE}.sha256", ".seals.lock"}
    assert left == {WEIGHTS_FILE, FINISHED_FILE, CHECKPOINT_FOLDER, module.LOCK_FILE} | seals
    assert list((tmp_path / "ft" / CHECKPOINT_FOLDER).iterdir()) == []


def test_all_patients_used_are_named_once_and_sorted(tmp_path: Path, parts: Parts) -> None:
    used = run(parts, tmp_path / "ft").patients
    assert used == tuple(sorted({str(p) for part in parts for p in part.patient_ids}))
    assert {name.split("-")[0] for name in used} == {"training", "validation"}


def test_only_training_and_validation_images_are_opened(tmp_path: Path, parts: Parts) -> None:
    write_samples(tmp_path, 6, "test", 3)
    with opened_files() as opened:
        run(parts, tmp_path / "ft")
    names = {Path(path).name for path in opened if path.endswith(".png")}
    assert names == {str(path) for part in parts for path in part.paths}


def test_a_second_call_trains_nothing_and_opens_no_image(tmp_path: Path, parts: Parts) -> None:
    first = run(parts, tmp_path / "ft")
    data = first.weights.read_bytes()
    with opened_files() as opened:
        again = run(parts, tmp_path / "ft")
    assert again == first
    assert first.weights.read_bytes() == data
    assert not [path for path in opened if path.endswith(".png")]


def test_row_order_carries_no_meaning(tmp_path: Path, parts: Parts) -> None:
    def shuffled(samples: TrainingSamples) -> TrainingSamples:
        order = np.random.default_rng(3).permutation(len(samples))
        columns = {f.name: getattr(samples, f.name)[order] for f in dataclasses.fields(samples)}
        return TrainingSamples(**columns)

    a = run(parts, tmp_path / "a")
    b = run((shuffled(parts[0]), shuffled(parts[1])), tmp_path / "b")
    assert a.history == b.history
    assert a.weights.read_bytes() == b.weights.read_bytes()


def changed_label(parts: Parts) -> Parts:
    labels = parts[0].labels.copy()
    labels[0] = 1 - labels[0]
    return dataclasses.replace(parts[0], labels=labels), parts[1]


def test_other_labels_settings_or_seeds_train_anew(tmp_path: Path, parts: Parts) -> None:
    folder = tmp_path / "ft"
    weights = {"first": run(parts, folder).weights.read_bytes()}
    for name, arguments in {
        "label": {"parts": changed_label(parts)},
        "setting": {"config": CONFIG.model_copy(update={"weight_decay": 0.2})},
        "seed": {"seed": 1},
    }.items():
        progress = Telling()
        result = run(**{"parts": parts, "folder": folder, "progress": progress} | arguments)  # type: ignore[arg-type]
        weights[name] = result.weights.read_bytes()
        assert "is not used: it belongs to other images, labels or settings" in progress.told[0]
    assert len(set(weights.values())) == 4


def test_what_has_no_influence_does_not_train_anew(tmp_path: Path, parts: Parts) -> None:
    first = run(parts, tmp_path / "ft")
    with opened_files() as opened:
        changes = {"workers": 1, "device": "auto", "views": 3, "validation_fraction": 0.4}
        changes["compile"] = False  # `auto` follows the device
        run(parts, tmp_path / "ft", CONFIG.model_copy(update=changes))
    assert not [path for path in opened if path.endswith(".png")]
    assert first.weights.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (WEIGHTS_FILE, b"cut", "weights.safetensors is damaged or truncated"),
        (WEIGHTS_FILE, None, "cannot be read: No such file"),
        (FINISHED_FILE, b"{}", "is damaged"),
        (FINISHED_FILE, b"\x80\x04\x95", "is damaged"),
    ],
)
def test_a_damaged_result_is_made_again(
    tmp_path: Path, parts: Parts, name: str, content: bytes | None, reason: str
) -> None:
    first = run(parts, tmp_path / "ft")
    expected = first.weights.read_bytes()
    path = tmp_path / "ft" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    progress = Telling()
    assert run(parts, tmp_path / "ft", progress=progress) == first
    assert reason in progress.told[0]
    assert first.weights.read_bytes() == expected


@pytest.mark.parametrize("images", [10, 22, 30, 44, 50])
def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, parts: Parts, images: int
) -> None:
    """In an epoch and between two; resumed without what the interrupted one had drawn."""
    expected = run(parts, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path / "b", progress=Stopping(images))
    checkpoints = {p.stem for p in (tmp_path / "b" / CHECKPOINT_FOLDER).glob("epoch-*.json")}
    assert len(checkpoints) == (images - 1) // 22
    resumed = run(parts, tmp_path / "b")
    assert resumed.history == expected.history
    assert resumed.weights.read_bytes() == expected.weights.read_bytes()


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_continued(
    tmp_path: Path, parts: Parts
) -> None:
    expected = run(parts, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path / "b", progress=Stopping(50))
    newest = tmp_path / "b" / CHECKPOINT_FOLDER / "epoch-0002.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    progress = Telling()
    resumed = run(parts, tmp_path / "b", progress=progress)
    (told,) = [text for text in progress.told if "refused" in text]
    assert "epoch-0002.json is refused: epoch-0002.safetensors is damaged or truncated" in told
    assert resumed.weights.read_bytes() == expected.weights.read_bytes()


def test_checkpoints_of_another_training_are_told_and_not_continued(
    tmp_path: Path, parts: Parts
) -> None:
    expected = run(parts, tmp_path / "a", seed=1)
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path / "b", progress=Stopping(50), seed=0)
    progress = Telling()
    other = run(parts, tmp_path / "b", progress=progress, seed=1)
    refused = [text for text in progress.told if "refused" in text]
    assert len(refused) == 2
    assert all("it belongs to other images, labels or settings" in text for text in refused)
    assert other.weights.read_bytes() == expected.weights.read_bytes()


def test_a_patient_in_both_parts_is_refused(tmp_path: Path, parts: Parts) -> None:
    training, validation = parts
    mixed = validation.patient_ids.copy()
    mixed[0] = training.patient_ids[0]
    with pytest.raises(LeakageError, match=r"1 id is in the training and .* training-0-0"):
        run((training, dataclasses.replace(validation, patient_ids=mixed)), tmp_path / "ft")


@pytest.mark.parametrize("part", [0, 1])
def test_one_outcome_in_a_part_is_refused(tmp_path: Path, parts: Parts, part: int) -> None:
    changed = list(parts)
    changed[part] = dataclasses.replace(parts[part], labels=np.zeros(len(parts[part]), np.float32))
    with pytest.raises(DataError, match="fine-tuning needs both outcomes in both parts"):
        run((changed[0], changed[1]), tmp_path / "ft")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, parts: Parts) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the fine-tuning to .*file") as caught:
        finetune(*parts, TINY, CONFIG, 0, Workplace(tmp_path, tmp_path / "file" / "ft"))
    assert "\n" not in str(caught.value)


def test_a_backbone_pooled_in_another_way_is_refused(tmp_path: Path, parts: Parts) -> None:
    """Its weights alone would be read back as those of the backbone's own pooling."""
    other = TINY.model_copy(update={"pooling": "avg"})
    with pytest.raises(ConfigError, match=r"test_resnet is described by a folder or pooled in an"):
        finetune(*parts, other, CONFIG, 0, Workplace(tmp_path, tmp_path / "ft"))


def test_a_pipeline_that_is_not_there_is_one_line(tmp_path: Path, parts: Parts) -> None:
    config = tiny_config(augment={"albumentations": "gone.json"})
    with pytest.raises(ConfigError, match=r"Albumentations pipeline .*gone\.json: No such file"):
        run(parts, tmp_path / "ft", config)


def test_the_samples_of_the_caller_and_its_randomness_are_left_alone(
    tmp_path: Path, parts: Parts
) -> None:
    before = [[c.copy() for c in vars(part).values()] for part in parts]
    torch.manual_seed(9)
    state = torch.get_rng_state()
    run(parts, tmp_path / "ft")
    assert torch.equal(torch.get_rng_state(), state)
    for part, columns in zip(parts, before, strict=True):
        for now, then in zip(vars(part).values(), columns, strict=True):
            np.testing.assert_array_equal(now, then)
