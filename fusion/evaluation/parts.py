"""Finished parts of an evaluation: what a killed run does not have to do again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.atomic import make_folder
from featurestore.errors import DataError
from featurestore.locks import holding
from featurestore.sealed import read_sealed_arrow, sealing
from fusion.evaluation.predictions import prediction_types

_RECORD_KEY = b"melafuse_part"


@dataclasses.dataclass(frozen=True)
class Part:
    """One arm on one outer fold.

    Attributes:
        predictions: Rows of the predictions table; of no run yet, so that any run can take them.
        kind: Kind of the outcome that they are of.
        record: What was chosen inside: JSON types.
        history: One record an epoch, or empty.
        seconds: How long the fit took; NaN where nobody looked. It is no part of any result.
    """

    predictions: pd.DataFrame
    kind: str
    record: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float = math.nan


class PartStore:
    """Parts by digest: one sealed Parquet file each, with the record in the schema's metadata.

    The digest stands in the file too: a part under another name is none.
    """

    def __init__(self, folder: Path) -> None:
        """Stores where parts lie; the folder is made when the first one is written."""
        self._folder = folder

    def read(self, digest: str) -> Part | None:
        """Reads a part; None if it is absent or damaged, so that it is made again."""
        try:
            table = read_sealed_arrow(self._path(digest), "it is made again")
            stored = json.loads((table.schema.metadata or {})[_RECORD_KEY])
            if stored["digest"] != digest:
                return None
            predictions = table.to_pandas()
            types = prediction_types(stored["kind"], predictions.columns)
            rows = predictions[list(types)].astype(types)
            seconds = float(stored.get("seconds", math.nan))
            return Part(rows, stored["kind"], stored["record"], stored["history"], seconds)
        except (DataError, OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None

    def write(self, digest: str, part: Part) -> None:
        """Writes a part.

        Raises:
            DataError: The disk is full or refuses to write.
        """
        content = {
            "digest": digest,
            "kind": part.kind,
            "record": part.record,
            "history": part.history,
            "seconds": part.seconds,
        }
        stored = json.dumps(content).encode()
        table = pa.Table.from_pandas(part.predictions, preserve_index=False)
        metadata = {**(table.schema.metadata or {}), _RECORD_KEY: stored}
        try:
            with sealing(self._path(digest)) as temporary:
                pq.write_table(table.replace_schema_metadata(metadata), temporary)
        except OSError as error:
            raise DataError(f"cannot write to {self._folder}: {error.strerror or error}") from None

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Makes other processes that want the same lock (`Task.lock`) wait.

        A worker may outlive a killed run by its current part, and two runs may want the same one;
        the second then waits instead of tuning the same study beside the first. A lock dies with
        its process.
        """
        make_folder(self._folder)
        with holding(self._folder / f".{name}.lock"):
            yield

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.parquet"
