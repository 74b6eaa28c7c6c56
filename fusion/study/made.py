"""What a run made last, and of what, so that nothing is made again that is there and right."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from extractor.config_finetune import FinetuneConfig
from featurestore.cohort import Cohort
from featurestore.errors import DataError
from featurestore.progress import Progress
from featurestore.sealed import read_sealed_text, write_sealed_text
from featurestore.software import digest_of
from featurestore.tables import DataDictionary
from fusion.config import HOW_FITS_RUN, RunConfig
from fusion.features.tuned import FoldEncoders
from fusion.paths import RunPaths
from fusion.provenance import reporting_software

_MAX_BYTES = 20_000_000
_WITHOUT_INFLUENCE: Any = {
    "ablation": HOW_FITS_RUN,
    "export": True,
    "store": True,
    "project": True,
}


def file_digest(path: Path | None) -> str:
    """SHA-256 of a file; nothing where there is none."""
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evidence_key(config: RunConfig, cohort: Cohort, data_digest: str, paths: RunPaths) -> str:
    """Names all that the numbers of a report are made of, beside the command.

    Args:
        config: The configuration.
        cohort: The cohort as it is studied.
        data_digest: Names folds and embeddings.
        paths: The run, whose predictions are written.
    """
    settings = config.model_dump(mode="json", exclude=_WITHOUT_INFLUENCE)
    files = [file_digest(path) for path in (paths.predictions, paths.choices)]
    return digest_of(data_digest, settings, _facts_of(cohort), files, reporting_software())


def _facts_of(cohort: Cohort) -> list[list[str]]:
    """All that is known of a cohort, field by field, but for what the configuration says."""
    found = []
    for field in dataclasses.fields(cohort):
        value = getattr(cohort, field.name)
        if isinstance(value, Cohort):
            found += [[f"{field.name} {name}", text] for name, text in _facts_of(value)]
        elif isinstance(value, pd.DataFrame):
            found.append([field.name, value.to_csv(index=False)])
        elif isinstance(value, DataDictionary):
            found.append([field.name, json.dumps(value.to_records())])
        elif field.name != "outcome":
            found.append([field.name, repr(value)])
    return found


def view_names(tuned: FoldEncoders, config: FinetuneConfig | None) -> list[str]:
    """Names the augmented views, which are rows of every table, whatever an arm looks at.

    Args:
        tuned: The fine-tuned encoders.
        config: How they were tuned; None where none were.
    """
    names = [
        f"views {repeat}/{fold}{name}={identity.digest}"
        for (repeat, fold), own in sorted(tuned.views.items())
        for name, identity in sorted(own.items())
    ]
    if config is not None and (config.views or config.test_views):
        names.append(f"views {config.views} {config.test_views}")
    return names


class Made:
    """Outputs of a run: of each what it was made of, and the digests of its files."""

    def __init__(self, path: Path) -> None:
        """Stores where the record is kept; the folder of the run is that above it."""
        self._path = path
        self._root = path.parent.parent

    def holds(self, what: str, key: str) -> bool:
        """Whether an output was made of this, and every file of it is as it was written."""
        try:
            entry = self._read()[what]
            files = dict(entry["files"])
            return entry["key"] == key and all(
                file_digest(self._root / name) == digest for name, digest in files.items()
            )
        except (DataError, OSError, ValueError, KeyError, TypeError):
            return False

    def note(self, what: str, key: str, folder: Path | None = None) -> None:
        """Notes that an output was made just now.

        Args:
            what: Name of the output.
            key: What it was made of.
            folder: Folder of its files; none where they are kept in another way.
        """
        found = sorted(folder.rglob("*")) if folder is not None else []
        files = {
            path.relative_to(self._root).as_posix(): file_digest(path)
            for path in found
            if path.is_file()
        }
        try:
            known = self._read()
        except (DataError, OSError, ValueError):
            known = {}
        record = {**known, what: {"key": key, "files": files}}
        with contextlib.suppress(OSError):  # then it is made again next time
            write_sealed_text(self._path, json.dumps(record, indent=1, sort_keys=True) + "\n")

    def unless(
        self, what: str, key: str, folder: Path, make: Callable[[], object], progress: Progress
    ) -> None:
        """Makes an output, unless it is there, right, and of this.

        Args:
            what: Name of the output.
            key: What it is made of.
            folder: Folder of its files.
            make: Writes them.
            progress: Told where nothing is done.
        """
        if self.holds(what, key):
            progress.start(what, 1)
            progress.finish(f"{what}: nothing changed, {folder} is as it was")
            return
        make()
        self.note(what, key, folder)

    def _read(self) -> dict[str, Any]:
        return dict(json.loads(read_sealed_text(self._path, "it is made again", _MAX_BYTES)))
