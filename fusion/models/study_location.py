"""Where the Optuna study of a tuned model lives; apart from Optuna, so that asking is cheap."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class StudyLocation:
    """Where a study lives.

    Attributes:
        storage: An Optuna storage URL.
        name: Name of the study; only one process at a time may work on it.
    """

    storage: str
    name: str


def sqlite_storage(folder: Path, name: str) -> str:
    """URL of a SQLite file of its own for a study: processes never wait for one another."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(folder / name).absolute()}.db"
