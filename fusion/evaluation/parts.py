"""Finished parts of an evaluation: what a killed run does not have to do again."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from featurestore.atomic import replacing
from featurestore.errors import DataError
from fusion.evaluation.predictions import PREDICTION_TYPES


@dataclasses.dataclass(frozen=True)
class Part:
    """One arm on one outer fold.

    Attributes:
        predictions: Rows of the predictions table.
        record: What was chosen inside: JSON types.
        history: One record an epoch, or empty.
    """

    predictions: pd.DataFrame
    record: dict[str, Any]
    history: list[dict[str, float]]


class PartStore:
    """Parts by digest: `<digest>.json` and, written last, `<digest>.parquet`."""

    def __init__(self, folder: Path) -> None:
        """Stores where parts lie; the folder is made when the first one is written."""
        self._folder = folder

    def read(self, digest: str) -> Part | None:
        """Reads a part; None if it is absent or damaged, so that it is made again."""
        try:
            predictions = pd.read_parquet(self._table(digest))
            stored = json.loads(self._record(digest).read_text(encoding="utf-8"))
            predictions = predictions[list(PREDICTION_TYPES)].astype(PREDICTION_TYPES)
            return Part(predictions, stored["record"], stored["history"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def write(self, digest: str, part: Part) -> None:
        """Writes a part; it is there from the moment its table is.

        Raises:
            DataError: The disk is full or refuses to write.
        """
        stored = {"record": part.record, "history": part.history}
        try:
            with replacing(self._record(digest)) as temporary:
                temporary.write_text(json.dumps(stored), encoding="utf-8")
            with replacing(self._table(digest)) as temporary:
                part.predictions.to_parquet(temporary, index=False)
        except OSError as error:
            raise DataError(f"cannot write to {self._folder}: {error.strerror}") from None

    @contextlib.contextmanager
    def locked(self, digest: str) -> Iterator[None]:
        """Makes other processes that want the same part wait.

        A worker may outlive a killed run by its current part; the run that resumes then waits for
        the worker instead of tuning the same study beside it. A lock dies with its process.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f".{digest}.lock"
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _record(self, digest: str) -> Path:
        return self._folder / f"{digest}.json"

    def _table(self, digest: str) -> Path:
        return self._folder / f"{digest}.parquet"
