"""The record of a finished import, sealed beside its shards."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from featurestore.errors import DataError, StoreError
from featurestore.sealed import read_sealed_text, write_sealed_text
from featurestore.store import QuarantineRow
from featurestore.store.layout import IMPORT_RECORD


@dataclasses.dataclass(frozen=True)
class ImportRecord:
    """What an import left.

    Attributes:
        keys: Digest of each embedding's bytes, which is its key in the store, by id.
        patients: Patient of an id, where the files say it.
        tiles: Rows of each bag, by id.
        refused: What was put into quarantine.
        files: SHA-256 of each file.
        left_out: Columns that were left out.
    """

    keys: Mapping[str, str]
    patients: Mapping[str, str]
    tiles: Mapping[str, int]
    refused: tuple[QuarantineRow, ...]
    files: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def write_record(folder: Path, record: ImportRecord) -> None:
    """Writes a record into the folder of its encoder.

    Raises:
        StoreError: The disk refuses to write.
    """
    text = json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True, ensure_ascii=False)
    try:
        write_sealed_text(folder / IMPORT_RECORD, text + "\n")
    except OSError as error:
        raise StoreError(
            f"cannot write {folder / IMPORT_RECORD}: {error.strerror or error}"
        ) from None


def read_record(folder: Path) -> ImportRecord | None:
    """Reads a record; None where there is none or it is damaged: the import is made again."""
    try:
        fields = json.loads(
            read_sealed_text(folder / IMPORT_RECORD, "the next import writes it anew")
        )
        rows = tuple(QuarantineRow(**row) for row in fields.pop("refused"))
        left_out = tuple(fields.pop("left_out"))
        return ImportRecord(**fields, refused=rows, left_out=left_out)
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None
