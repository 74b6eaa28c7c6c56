"""Event files of a training, for people who watch it in TensorBoard; an optional package."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from extractor.finetune.state import EpochRow
from featurestore.errors import ConfigError

Recorder = Callable[[Sequence[EpochRow]], None]
"""Told of the epochs done so far, after each epoch."""

_FILES = "events.out.tfevents.*"


@contextlib.contextmanager
def event_files(folder: Path) -> Iterator[Recorder]:
    """Writes every number of every epoch as a scalar.

    Event files that lie in the folder are replaced: the recorder is told of the whole history, so
    a training that was resumed shows one curve.

    Args:
        folder: Where the event files go; made where needed.

    Raises:
        ConfigError: The package is missing.
        OSError: The folder cannot be written.
    """
    writer_of = _import()
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(_FILES):
        path.unlink()
    writer = writer_of(str(folder))
    written = 0

    def record(history: Sequence[EpochRow]) -> None:
        nonlocal written
        for row in history[written:]:
            numbers = dataclasses.asdict(row)
            epoch = numbers.pop("epoch")
            for name, value in numbers.items():
                writer.add_scalar(name, value, epoch)
        written = len(history)
        writer.flush()

    try:
        yield record
    finally:
        writer.close()


def record_nothing(history: Sequence[EpochRow]) -> None:
    """The recorder of a training that nobody watches."""


def _import() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "finetune.tensorboard needs an optional package: pip install 'melafuse[tensorboard]'"
        ) from None
    return SummaryWriter
