from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from extractor.finetune import checkpoint as module
from extractor.finetune.checkpoint import Checkpoint, CheckpointFolder, CheckpointRefused

TENSORS = {
    "model.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "model.count": torch.tensor(7),
    "optimiser.step.weight": torch.tensor(3.0),
}


def save(folder: Path, epoch: int = 1, best: int | None = None, digest: str = "d") -> None:
    opened = CheckpointFolder(folder, digest)
    best = best or epoch
    for known in {best, epoch}:
        opened.save_best(known, {"weight": torch.full((2,), float(known))})
    opened.save(Checkpoint(epoch, TENSORS, {"rates": [0.1, 1 / 3], "none": None}, best))


def load(folder: Path, epoch: int = 1, digest: str = "d") -> Checkpoint:
    return CheckpointFolder(folder, digest).load(epoch)


def record_of(folder: Path, epoch: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"epoch-{epoch:04d}.json").read_text())
    return found


def rewrite(folder: Path, sign: bool = True, **changes: object) -> None:
    record = record_of(folder) | changes
    if sign:
        content = {k: v for k, v in record.items() if k != "checksum"}
        text = json.dumps(content, sort_keys=True)
        record["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "epoch-0001.json").write_text(json.dumps(record))


def test_a_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    save(tmp_path)
    found = load(tmp_path)
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert found.record == {"rates": [0.1, 1 / 3], "none": None}
    assert (found.epoch, found.best_epoch) == (1, 1)


def test_equal_tensors_may_share_memory_and_layout_does_not_matter(tmp_path: Path) -> None:
    base = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    digest = module.save_tensors({"a": base, "b": base[0]}, tmp_path / "x.safetensors")
    found = module.read_tensors(tmp_path / "x.safetensors", digest)
    assert torch.equal(found["a"], base)
    assert torch.equal(found["b"], base[0])


def test_the_last_two_and_their_best_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, "d")
    best = {1: 1, 2: 2, 3: 2, 4: 2, 5: 5}
    for epoch, best_epoch in best.items():
        if best_epoch == epoch:
            folder.save_best(epoch, {"w": torch.full((1,), float(epoch))})
        folder.save(Checkpoint(epoch, TENSORS, {}, best_epoch))
    names = {p.name.partition(".")[0] for p in tmp_path.iterdir()}
    assert names == {"epoch-0004", "epoch-0005", "best-0002", "best-0005"}
    assert folder.best(2)["w"].item() == 2.0
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_is_cleaned_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path)
    (tmp_path / f".{'0' * 32}.part").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    before = {p.name for p in tmp_path.iterdir()} - {f".{'0' * 32}.part"}
    CheckpointFolder(tmp_path, "d").clean()
    assert {p.name for p in tmp_path.iterdir()} == before
    CheckpointFolder(tmp_path / "absent", "d").clean()


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, crater: Path) -> None:
        self._crater = crater

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._crater),)


def flip(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def swap_for_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(path.with_name("crater"))))


SPOILERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "tensors flipped": (lambda f: flip(f / "epoch-0001.safetensors", 1.0), "damaged or truncated"),
    "header flipped": (lambda f: flip(f / "epoch-0001.safetensors", 0.1), "damaged or truncated"),
    "tensors cut": (lambda f: cut(f / "epoch-0001.safetensors"), "damaged or truncated"),
    "tensors empty": (
        lambda f: (f / "epoch-0001.safetensors").write_bytes(b""),
        "damaged or truncated",
    ),
    "tensors gone": (lambda f: (f / "epoch-0001.safetensors").unlink(), "No such file"),
    "best flipped": (lambda f: flip(f / "best-0001.safetensors", 0.9), r"best-0001.* damaged"),
    "best gone": (lambda f: (f / "best-0001.safetensors").unlink(), "best-0001.* cannot be read"),
    "tensors pickled": (lambda f: swap_for_pickle(f / "epoch-0001.safetensors"), "damaged"),
    "record pickled": (lambda f: swap_for_pickle(f / "epoch-0001.json"), "cannot be read"),
    "record cut": (lambda f: cut(f / "epoch-0001.json"), "cannot be read"),
    "record a list": (lambda f: (f / "epoch-0001.json").write_text("[1]"), "holds no record"),
    "record too deep": (
        lambda f: (f / "epoch-0001.json").write_text("[" * 10**5),
        "cannot be read",
    ),
    "record edited": (lambda f: rewrite(f, sign=False, best_epoch=3), "changed after it was"),
    "other format": (lambda f: rewrite(f, format="x"), "no checkpoint of a fine-tuning"),
    "other version": (lambda f: rewrite(f, version=99), "of version 99, and this program writes"),
    "other digest": (lambda f: rewrite(f, digest="e"), "other images, labels or settings"),
    "other epoch": (lambda f: rewrite(f, epoch=2), "it is that of epoch 2"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_a_bad_checkpoint_is_refused_with_a_reason_and_never_unpickled(
    tmp_path: Path, name: str
) -> None:
    save(tmp_path)
    spoil, reason = SPOILERS[name]
    spoil(tmp_path)
    with pytest.raises(CheckpointRefused, match=reason) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "crater").exists()


def test_another_training_is_foreign(tmp_path: Path) -> None:
    save(tmp_path, digest="d")
    with pytest.raises(CheckpointRefused, match="other images, labels or settings"):
        load(tmp_path, digest="e")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_record_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("c")
    save(folder)
    path = folder / "epoch-0001.json"
    good = bytearray(path.read_bytes())
    meant = json.loads(good)
    good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(good))
    try:
        load(folder)
    except CheckpointRefused:
        return
    assert json.loads(path.read_bytes()) == meant  # white space, which carries nothing


def restore_all(folder: Path, *refuse: int) -> tuple[int, list[int], list[str]]:
    restored: list[int] = []
    told: list[str] = []

    def restore(found: Checkpoint) -> None:
        if found.epoch in refuse:
            raise CheckpointRefused("it does not fit")
        restored.append(found.epoch)

    done = CheckpointFolder(folder, "d").restore_latest(restore, told.append)
    return done, restored, told


def test_the_newest_good_one_is_restored_and_refusals_are_told(tmp_path: Path) -> None:
    assert restore_all(tmp_path / "absent") == (0, [], [])
    save(tmp_path, 9)
    save(tmp_path, 10)
    assert restore_all(tmp_path) == (10, [10], [])
    assert restore_all(tmp_path, 10)[:2] == (9, [9])
    flip(tmp_path / "epoch-0010.safetensors", 0.5)
    done, restored, (told,) = restore_all(tmp_path)
    assert (done, restored) == (9, [9])
    assert "epoch-0010.json is refused: epoch-0010.safetensors is damaged" in told
    flip(tmp_path / "best-0009.safetensors", 0.9)
    done, restored, told_both = restore_all(tmp_path)
    assert (done, restored, len(told_both)) == (0, [], 2)


def test_tensors_without_a_record_are_no_checkpoint(tmp_path: Path) -> None:
    """Killed between the two files."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / "epoch-0002.json").unlink()
    assert restore_all(tmp_path) == (1, [1], [])


def test_a_refused_disk_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save(tmp_path, 2)
    assert restore_all(tmp_path) == (1, [1], [])
    assert not list(tmp_path.glob(".*.part"))
