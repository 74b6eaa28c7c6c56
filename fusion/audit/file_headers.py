"""What the headers of image files say of how they came about: camera, program, dates, coding.

Only the first part of a file is read, no pixel is decoded, and what cannot be read says nothing.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from featurestore.images import FORMATS, read_image_bytes

HEAD_BYTES = 2**20
"""Bytes of a file that are looked at; headers are far smaller."""

MOST_FILES = 20_000
MOST_LETTERS = 60

_EXIF_IFD = 0x8769
_MAKE, _MODEL, _SOFTWARE, _CHANGED, _TAKEN = 0x010F, 0x0110, 0x0131, 0x0132, 0x9003
_SECONDS_A_DAY = 86_400

LEVELS = ("camera", "software", "quantisation", "coding", "resolution", "colour profile")
"""Facts without order, as texts."""

DATES = ("date taken", "date of the file")
"""Facts with an order, in days."""


def header_facts(images: pd.DataFrame) -> pd.DataFrame:
    """Facts of the headers of image files, of all or of one a patient where they are many.

    Args:
        images: Images table; files that are not there, or not readable, have no facts.

    Returns:
        `patient_id`, `LEVELS` (None where a header does not say) and `DATES` (NaN likewise); one
        row a file that could be read, in the order of image ids.
    """
    chosen = images[images["width"] > 0].sort_values("image_id")
    if len(chosen) > MOST_FILES:
        chosen = chosen.drop_duplicates("patient_id")
        chosen = chosen.iloc[:: -(-len(chosen) // MOST_FILES)]
    rows = []
    for patient, path in zip(chosen["patient_id"], chosen["path"], strict=True):
        facts = read_header(Path(str(path)))
        if facts is not None:
            rows.append({"patient_id": patient, **facts})
    return pd.DataFrame(rows, columns=["patient_id", *LEVELS, *DATES])


def read_header(path: Path) -> dict[str, str | float | None] | None:
    """Facts of one file by name; None if it cannot be read."""
    try:
        head, days = _head(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata is not worth a line each
            with Image.open(io.BytesIO(head), formats=FORMATS) as image:
                return {**_said(image), "date of the file": days}
    except Exception:  # decoders raise anything on damaged input, and the head may be too short
        return None


def _head(path: Path) -> tuple[bytes, float]:
    """The first part of a file and the day of its last change; that of an archive says nothing."""
    if path.is_file():
        with path.open("rb") as file:
            return file.read(HEAD_BYTES), float(path.stat().st_mtime // _SECONDS_A_DAY)
    return read_image_bytes(path)[:HEAD_BYTES], float(np.nan)


def _said(image: Image.Image) -> dict[str, str | float | None]:
    exif = image.getexif()
    inner = exif.get_ifd(_EXIF_IFD)
    info = image.info
    tables = getattr(image, "quantization", None)
    profile = info.get("icc_profile")
    dpi = info.get("dpi")
    return {
        "camera": _words(exif.get(_MAKE), exif.get(_MODEL)),
        "software": _words(exif.get(_SOFTWARE) or info.get("Software") or info.get("comment")),
        "quantisation": _digest(repr(sorted(tables.items())).encode()) if tables else None,
        "coding": f"{image.format} {image.mode}{' progressive' if info.get('progressive') else ''}",
        "resolution": _words(*dpi) if isinstance(dpi, tuple) else None,
        "colour profile": _digest(profile) if isinstance(profile, bytes) and profile else None,
        "date taken": _days(inner.get(_TAKEN) or exif.get(_CHANGED)),
    }


def _words(*parts: object) -> str | None:
    """Printable words of a header, shortened."""
    texts = [p.decode("latin-1") if isinstance(p, bytes) else str(p) for p in parts if p]
    text = re.sub(r"[^\x20-\x7e]+", " ", " ".join(texts)).strip()
    return text[:MOST_LETTERS] or None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def _days(text: object) -> float:
    """Days since 1970 of an EXIF date; NaN without one."""
    try:
        date = datetime.strptime(str(text)[:10], "%Y:%m:%d").replace(tzinfo=UTC)
    except ValueError:
        return float(np.nan)
    return date.timestamp() // _SECONDS_A_DAY
