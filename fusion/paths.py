"""Where everything of a run lies."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from featurestore.errors import DataError


@dataclasses.dataclass(frozen=True)
class RunPaths:
    """Layout of a run's folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration with all defaults filled in."""
        return self.root / "config.yaml"

    @property
    def scratch(self) -> Path:
        """Files that sources make or remember."""
        return self.root / "scratch"

    @property
    def cohort(self) -> Path:
        """Images, patients, dictionary and exclusions as they were studied."""
        return self.root / "cohort"

    @property
    def folds(self) -> Path:
        """The frozen folds."""
        return self.root / "folds.parquet"

    @property
    def store(self) -> Path:
        """The feature store, unless the configuration names a shared one."""
        return self.root / "store"

    @property
    def work(self) -> Path:
        """Finished parts of the evaluation, tuning studies."""
        return self.root / "work"

    @property
    def predictions(self) -> Path:
        """The out-of-fold predictions table."""
        return self.root / "predictions.parquet"

    @property
    def report(self) -> Path:
        """The report."""
        return self.root / "report"

    @property
    def export(self) -> Path:
        """Tables for other tools."""
        return self.root / "export"


def write_text(path: Path, text: str) -> None:
    """Writes a text file so that readers see the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def write_json(path: Path, record: Any) -> None:
    """Writes indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
