"""Grad-CAM of some patients, as a run keeps it."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from featurestore.errors import DataError
from featurestore.sealed import read_sealed_text, write_sealed_text

KINDS = ("most certain of the outcome", "least certain", "most certain of no outcome")
MAX_BYTES = 50_000_000


@dataclasses.dataclass(frozen=True)
class PatientOverlay:
    """One picture as one encoder sees it, or why it cannot be shown.

    Attributes:
        kind: One of `KINDS`.
        rank: Place within the kind, from 0.
        probability: Out-of-fold, of the patient.
        outcome: Whether the patient has the outcome.
        encoder: Name of the encoder.
        png: The picture with its heat; empty where there is none.
        reason: Why there is no picture; empty where there is one.
    """

    kind: str
    rank: int
    probability: float
    outcome: bool
    encoder: str
    png: bytes
    reason: str = ""


def save_overlays(overlays: Iterable[PatientOverlay], key: str, path: Path) -> None:
    """Writes overlays and what they were made of as JSON.

    Raises:
        DataError: The file cannot be written.
    """
    records = [dataclasses.asdict(o) | {"png": base64.b64encode(o.png).decode()} for o in overlays]
    try:
        write_sealed_text(path, json.dumps({"key": key, "overlays": records}, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def read_overlays(path: Path, key: str | None = None) -> tuple[PatientOverlay, ...] | None:
    """Reads what `save_overlays` wrote.

    Args:
        path: The file.
        key: What they must be made of; by default anything.

    Returns:
        None where there are none, they are of something else, or the file is damaged.
    """
    try:
        stored = json.loads(read_sealed_text(path, "they are drawn again", MAX_BYTES))
        if key is not None and stored["key"] != key:
            return None
        return tuple(
            PatientOverlay(**record | {"png": base64.b64decode(record["png"], validate=True)})
            for record in stored["overlays"]
        )
    except (DataError, OSError, ValueError, KeyError, TypeError, binascii.Error):
        return None
