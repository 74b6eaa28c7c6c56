"""What a cohort keeps of image files beside their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from featurestore.cohort.images import inspected
from featurestore.cohort.tables import IMAGE_COLUMNS
from featurestore.progress import SILENT
from featurestore.sources.base import ReadContext

FILE_FACTS = ["file_bytes", "exif_orientation", "has_exif"]


def test_facts_of_files_are_kept_and_read_again_from_the_cache(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, size=(40, 60, 3)).astype(np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    plain, photographed = tmp_path / "a.jpg", tmp_path / "b.jpg"
    tiff, broken = tmp_path / "c.tif", tmp_path / "d.jpg"
    Image.fromarray(pixels).save(plain)
    Image.fromarray(pixels[::-1]).save(photographed, exif=turned)
    Image.fromarray(pixels[:, ::-1]).save(tiff)  # its own tags are no EXIF
    broken.write_bytes(b"nothing")
    paths = [plain, photographed, tiff, broken]
    images = pd.DataFrame(
        {
            "image_id": list("abcd"),
            "patient_id": list("abcd"),
            "lesion_id": "",
            "path": [str(path) for path in paths],
            "source": "test",
            "licence": "none",
            "attribution": "",
            "dermoscopic": 1.0,
        }
    )
    context = ReadContext(tmp_path, tmp_path / "scratch", 0)
    first = inspected(images, 1.0, context, SILENT)
    assert list(first.columns) == [*IMAGE_COLUMNS, "dermoscopic", *FILE_FACTS]
    assert first["file_bytes"].tolist() == [path.stat().st_size for path in paths]
    assert first["exif_orientation"].tolist() == [1, 6, 1, 1]
    assert first["has_exif"].tolist() == [False, True, False, False]
    assert first["width"].tolist() == [60, 40, 60, 0]
    pd.testing.assert_frame_equal(inspected(images, 1.0, context, SILENT), first)
