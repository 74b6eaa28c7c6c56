from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from finetune_example import TINY, Interrupting, tiny_config, write_samples

from extractor.finetune import EpochRow, Finetuned, TrainingSamples, Workplace, finetune
from extractor.finetune.run import EVENT_FOLDER
from extractor.finetune.tensorboard import event_files
from featurestore.errors import ConfigError
from featurestore.progress import SILENT

CONFIG = tiny_config(epochs=3, patience=9, tensorboard=True)
NUMBERS = {f.name for f in dataclasses.fields(EpochRow)} - {"epoch"}


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Number of the step and value by name, as TensorBoard reads them."""
    pytest.importorskip("tensorboard", reason="the extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def expected(history: tuple[EpochRow, ...]) -> dict[str, list[tuple[int, object]]]:
    return {
        name: [(row.epoch, pytest.approx(getattr(row, name), rel=1e-6)) for row in history]
        for name in NUMBERS
    }


Parts = tuple[TrainingSamples, TrainingSamples]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return write_samples(tmp_path, 22, "training", 1), write_samples(tmp_path, 12, "validation", 2)


def run(parts: Parts, folder: Path, watched: bool = True, progress: object = SILENT) -> Finetuned:
    config = CONFIG.model_copy(update={"tensorboard": watched})
    return finetune(*parts, TINY, config, 0, Workplace(folder.parent, folder, progress))  # type: ignore[arg-type]


def test_every_number_of_every_epoch_is_there(tmp_path: Path, parts: Parts) -> None:
    result = run(parts, tmp_path / "ft")
    assert scalars(tmp_path / "ft" / EVENT_FOLDER) == expected(result.history)


def test_a_resumed_training_shows_one_curve(tmp_path: Path, parts: Parts) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path / "ft", progress=Interrupting(50))
    assert [step for step, _ in scalars(tmp_path / "ft" / EVENT_FOLDER)["train_loss"]] == [1, 2]
    result = run(parts, tmp_path / "ft")
    assert scalars(tmp_path / "ft" / EVENT_FOLDER) == expected(result.history)
    assert len(list((tmp_path / "ft" / EVENT_FOLDER).iterdir())) == 1


def test_watching_changes_nothing_and_may_come_afterwards(tmp_path: Path, parts: Parts) -> None:
    result = run(parts, tmp_path / "ft", watched=False)
    assert not (tmp_path / "ft" / EVENT_FOLDER).exists()
    changed = result.weights.stat().st_mtime_ns
    assert run(parts, tmp_path / "ft") == result
    assert result.weights.stat().st_mtime_ns == changed
    assert scalars(tmp_path / "ft" / EVENT_FOLDER) == expected(result.history)


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"old")
    pytest.importorskip("tensorboard", reason="the extra is not installed")
    with event_files(tmp_path) as record:
        record([])
    names = {path.name for path in tmp_path.iterdir()}
    assert "notes.txt" in names
    assert "events.out.tfevents.1.host" not in names


def test_without_the_extra_it_is_one_line_before_anything_is_trained(
    tmp_path: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'melafuse\[tensorboard\]'"):
        run(parts, tmp_path / "ft")
    assert not (tmp_path / "ft" / "checkpoints").exists()
