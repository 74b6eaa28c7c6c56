"""Writes a small folder in the layout of HAM10000: `python docs/make_ham10000.py FOLDER`.

HAM10000 itself cannot be shipped. Names of files, columns and classes, their shares, and several
images a lesion are those of the data set (Tschandl, Rosendahl, Kittler, Scientific Data 2018); rows
and pictures are drawn here, and no number that is computed from them says anything about skin.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

LESIONS = 220
SHARES = {
    "nv": 0.67, "mel": 0.11, "bkl": 0.11, "bcc": 0.05, "akiec": 0.03, "vasc": 0.02, "df": 0.01,
}  # fmt: skip
MALIGNANT = ("mel", "bcc")
SITES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face")


def picture(draws: np.random.Generator, malignant: bool) -> bytes:
    """A blot on skin; malignant ones are a little darker and more ragged on average."""
    skin = tuple(int(v) for v in draws.normal((214, 170, 150), 8).clip(0, 255))
    image = Image.new("RGB", (160, 120), skin)
    pen = ImageDraw.Draw(image)
    dark = 25 * malignant * draws.random()
    for _ in range(int(draws.integers(3, 7 + 4 * malignant))):
        x, y = draws.normal((80, 60), 9 + 4 * malignant)
        wide, high = draws.uniform(12, 34, 2)
        shade = (draws.normal((128, 82, 62), 14) - dark).clip(0, 255)
        pen.ellipse((x - wide, y - high, x + wide, y + high), fill=tuple(map(int, shade)))
    file = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(2.5)).save(file, "JPEG", quality=88)
    return file.getvalue()


def main(folder: Path) -> None:
    """Writes two archives of images and the table beside them."""
    draws = np.random.default_rng(2018)
    folder.mkdir(parents=True)
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    parts = [folder / f"HAM10000_images_part_{k}.zip" for k in (1, 2)]
    with zipfile.ZipFile(parts[0], "w") as first, zipfile.ZipFile(parts[1], "w") as second:
        for lesion in range(LESIONS):
            kind = str(draws.choice(list(SHARES), p=list(SHARES.values())))
            bad = kind in MALIGNANT
            age = int(np.clip(5 * round(draws.normal(60 if bad else 49, 15) / 5), 5, 85))
            shared = f"{kind},{'histo' if bad else 'follow_up'},{age}.0,"
            shared += f"{draws.choice(['male', 'female'])},{draws.choice(SITES)}"
            for _ in range(int(draws.choice([1, 2, 3], p=[0.75, 0.2, 0.05]))):
                name = f"ISIC_{24306 + len(rows):07d}"
                rows.append(f"HAM_{lesion:07d},{name},{shared}")
                archive = first if len(rows) % 2 else second
                archive.writestr(f"{name}.jpg", picture(draws, bad))
    (folder / "HAM10000_metadata.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
