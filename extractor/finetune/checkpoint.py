"""Checkpoints: files that are whole or refused, and never unpickled.

`epoch-0007.safetensors` holds all tensors, `epoch-0007.json` everything else and the digest of the
tensor file; it is written last and makes the checkpoint valid. `best-0005.safetensors` holds the
best weights so far and is named by the checkpoints that need it. The last two are kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from featurestore.atomic import TEMPORARY, make_folder, replacing, write_text
from featurestore.errors import one_line

FORMAT = "melafuse-finetune"
VERSION = 1
"""Raised when the training or its files change, so that an older checkpoint is not continued."""

KEPT = 2
_RECORD = re.compile(r"epoch-(\d{4,})\.json")


class CheckpointRefused(Exception):
    """A checkpoint cannot be continued; the message says why."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch.

    Attributes:
        epoch: Epochs done.
        tensors: All tensors by name, on the CPU.
        record: Everything else, as JSON holds it.
        best_epoch: Epoch of the best weights, which lie in a file of their own.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]
    best_epoch: int


class CheckpointFolder:
    """The checkpoints of one training; its lock must be held by whoever writes."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Opens the folder, which is made by the first checkpoint.

        Args:
            folder: Where the files lie.
            digest: Names everything that the training depends on; others are foreign.
        """
        self._folder = folder
        self._digest = digest
        self._best_sha256: dict[int, str] = {}

    def save_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Writes the best weights, before the checkpoint that names them.

        Raises:
            OSError: The disk is full or refuses to write.
        """
        self._best_sha256[epoch] = save_tensors(tensors, self._best(epoch))

    def save(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint and removes those no longer needed.

        Raises:
            OSError: The disk is full or refuses to write.
        """
        record: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "digest": self._digest,
            "epoch": checkpoint.epoch,
            "tensors_sha256": save_tensors(checkpoint.tensors, self._tensors(checkpoint.epoch)),
            "best_epoch": checkpoint.best_epoch,
            "best_sha256": self._best_sha256[checkpoint.best_epoch],
            "state": checkpoint.record,
        }
        record["checksum"] = _checksum(record)
        write_text(self._record(checkpoint.epoch), json.dumps(record, indent=1) + "\n")
        self._prune()

    def restore_latest(
        self, restore: Callable[[Checkpoint], None], report: Callable[[str], None]
    ) -> int:
        """Gives the newest good checkpoint to `restore`.

        Args:
            restore: Takes over a checkpoint, or raises `CheckpointRefused` and changes nothing.
            report: Told of every refused checkpoint, with the reason.

        Returns:
            Epochs done; 0 where there is no good checkpoint.
        """
        for epoch in sorted(self._epochs(), reverse=True):
            try:
                restore(self.load(epoch))
            except CheckpointRefused as refusal:
                report(f"checkpoint {self._record(epoch)} is refused: {refusal}")
            else:
                return epoch
        return 0

    def load(self, epoch: int) -> Checkpoint:
        """Reads and checks a checkpoint.

        Raises:
            CheckpointRefused: It is damaged, incomplete, foreign or of another version.
        """
        record = _read_record(self._record(epoch))
        if record.get("format") != FORMAT:
            raise CheckpointRefused("it is no checkpoint of a fine-tuning")
        if record.get("version") != VERSION:
            raise CheckpointRefused(
                f"it is of version {record.get('version')!r}, and this program writes {VERSION}"
            )
        if record.get("checksum") != _checksum(record):
            raise CheckpointRefused("it was changed after it was written")
        if record["digest"] != self._digest:
            raise CheckpointRefused("it belongs to other images, labels or settings")
        if record["epoch"] != epoch:
            raise CheckpointRefused(f"it is that of epoch {record['epoch']}")
        tensors = read_tensors(self._tensors(epoch), record["tensors_sha256"])
        require_digest(self._best(record["best_epoch"]), record["best_sha256"])
        self._best_sha256[record["best_epoch"]] = record["best_sha256"]
        return Checkpoint(epoch, tensors, record["state"], record["best_epoch"])

    def best(self, epoch: int) -> dict[str, Tensor]:
        """Reads the best weights that a checkpoint saved or loaded here names.

        Raises:
            CheckpointRefused: The file is missing or damaged.
        """
        return read_tensors(self._best(epoch), self._best_sha256[epoch])

    def clean(self) -> None:
        """Removes what killed writers left behind."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if TEMPORARY.fullmatch(path.name):
                    path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes all checkpoints: the training is finished."""
        self.clean()
        self._remove_but(set())

    def _epochs(self) -> list[int]:
        names = [path.name for path in self._folder.glob("epoch-*.json")]
        return [int(match[1]) for name in names if (match := _RECORD.fullmatch(name))]

    def _prune(self) -> None:
        keep = set()
        for epoch in sorted(self._epochs())[-KEPT:]:
            keep |= {self._record(epoch), self._tensors(epoch)}
            try:
                keep.add(self._best(int(_read_record(self._record(epoch))["best_epoch"])))
            except (CheckpointRefused, KeyError, ValueError, TypeError):
                continue  # refused when it is read; it needs nothing
        self._remove_but(keep)

    def _remove_but(self, keep: set[Path]) -> None:
        # Records first: without its record a tensor file is not mistaken for a checkpoint.
        for pattern in ("epoch-*.json", "epoch-*.safetensors", "best-*.safetensors"):
            for path in self._folder.glob(pattern):
                if path not in keep:
                    path.unlink(missing_ok=True)

    def _record(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}.json"

    def _tensors(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}.safetensors"

    def _best(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch:04d}.safetensors"


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Writes tensors, whole or not at all.

    Returns:
        SHA-256 of the file.

    Raises:
        OSError: The disk is full or refuses to write.
    """
    data = safetensors.torch.save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Reads tensors from a file whose digest is known.

    Raises:
        CheckpointRefused: The file is missing, damaged or another one.
    """
    require_digest(path, sha256)
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointRefused(f"{path.name} cannot be read: {one_line(error, 120)}") from None


def require_digest(path: Path, sha256: str) -> None:
    """Checks the bytes of a file.

    Raises:
        CheckpointRefused: The file is missing, damaged or another one.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise CheckpointRefused(f"{path.name} cannot be read: {error.strerror}") from None
    if found != sha256:
        raise CheckpointRefused(f"{path.name} is damaged or truncated: its SHA-256 is not stated")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointRefused(f"{path.name} cannot be read: {one_line(error, 120)}") from None
    if not isinstance(record, dict):
        raise CheckpointRefused(f"{path.name} holds no record")
    return record


def _checksum(record: Mapping[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
