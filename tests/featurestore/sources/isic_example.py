"""ISIC metadata and images as files, read by their source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featurestore.config import validate
from featurestore.sources.base import ReadContext, SourceTables
from featurestore.sources.isic import IsicSource


def read(folder: Path, files: dict[str, str], images: list[str], **keys: Any) -> SourceTables:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "img").mkdir(exist_ok=True)
    for image in images:
        path = folder / "img" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "pink").save(path)
    record = {"kind": "isic", "metadata": list(files), "images": ["img"], **keys}
    return validate(IsicSource, record, "config").read(ReadContext(folder, folder / "scratch"))


def melanoma(tables: SourceTables) -> dict[str, float | None]:
    table = tables.images.set_index("image_id")["melanoma"]
    return {i: None if np.isnan(v) else v for i, v in table.items()}
