"""`melafuse init` as a person calls it, what it wrote, and files to propose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner, Result
from PIL import Image

import cli
from featurestore.config import load_config
from fusion.config import RunConfig


def init(folder: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(
        cli.cli, ["init", *map(str, arguments), "--out", str(folder / "mine.yaml")]
    )


def written(folder: Path) -> RunConfig:
    return load_config(RunConfig, folder / "mine.yaml")


def text_of(folder: Path) -> str:
    text = (folder / "mine.yaml").read_text(encoding="utf-8")
    return " ".join(line.strip().lstrip("#").strip() for line in text.splitlines())


def pictures(folder: Path, names: Sequence[str]) -> Path:
    noise = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(folder / name)
    return folder


def own_table(folder: Path, n: int = 40, id_of: Callable[[int], str] = "P{:03d}".format) -> Path:
    """Invented patients, in the columns that people have."""
    rows = [
        {
            "Patient ID": id_of(k),
            "Age": 40 + k,
            "Sex": ("f", "m")[k % 2],
            "Breslow": f"{1 + k / 10:.1f}",
            "Metastasis": ("no", "yes")[k % 3 == 0],
            "Follow-up months": 12 + (k * 7) % 60,
            "Relapse": ("n", "y")[k % 3 == 0],
            "Remarks": f"seen by {k}",
            "Centre": ("north", "south")[k % 2],
            "Visit": f"2020-01-{1 + k % 28:02d}",
            "Country": "here",
        }
        for k in range(n)
    ]
    path = folder / "patients.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def isic_table(folder: Path, n: int = 30) -> Path:
    rows = ["isic_id,age_approx,sex,diagnosis_1,diagnosis_3"]
    for k in range(n):
        kind = "Malignant,Melanoma Invasive" if k % 2 else "Benign,Nevus"
        rows.append(f"ISIC_{k:07d},{30 + k},female,{kind}")
    path = folder / "metadata.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
