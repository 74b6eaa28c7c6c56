"""What trees of collections are written with, and what is to be found in them."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a reader must find in a tree.

    Attributes:
        patients: Patients with an image.
        lesions: Lesions with an id.
        images: Images with a row and a file.
        melanoma: Images that are melanomas, and that are none.
        malignant: Images that are malignant, and that are not.
        withheld: Columns that tell the diagnosis.
        offered: Predictors, some of them.
        masks: Masks in the folder.
    """

    patients: int
    lesions: int
    images: int
    melanoma: tuple[int, int]
    malignant: tuple[int, int]
    withheld: frozenset[str]
    offered: frozenset[str]
    masks: int = 0


def noise(seed: int, form: str = "JPEG", side: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def outline(seed: int, form: str = "PNG") -> bytes:
    pixels = np.zeros((40, 48), dtype=np.uint8)
    pixels[8 : 20 + seed % 8, 8:30] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_csv(path: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
