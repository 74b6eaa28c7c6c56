"""Files of the archive say how each image was taken, in the words of the collections."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from tree_files_example import noise, write, write_csv

import cli
from featurestore.config import load_config, validate
from featurestore.sources import ReadContext
from featurestore.sources.isic import IsicSource
from featurestore.sources.isic_layouts import role_of_type
from fusion.config import RunConfig


@pytest.mark.parametrize(
    ("image_type", "role"),
    [
        ("dermoscopic", "dermoscopic"),
        ("Dermoscopic", "dermoscopic"),
        ("clinical: close-up", "close-up"),
        ("clinical: overview", "clinical: overview"),
        ("TBP tile: close-up", "total body tile"),
        ("TBP tile: overview", "total body tile"),
        ("RCM: tile", "rcm: tile"),
    ],
)
def test_words_of_the_archive(image_type: str, role: str) -> None:
    assert role_of_type(image_type) == role


def pairs(folder: Path) -> None:
    """12 lesions with a close-up and a dermoscopic image each."""
    rows = []
    for k in range(24):
        name = f"ISIC_{k:07d}"
        kind = ("dermoscopic", "clinical: close-up")[k % 2]
        told = ("benign", "malignant")[k // 2 % 2]
        rows.append([name, f"IL_{k // 2}", kind, told, "melanoma" if k // 2 % 2 else "nevus"])
        write(folder / f"{name}.jpg", noise(k))
    header = "isic_id,lesion_id,Image_Type,benign_malignant,diagnosis"
    write_csv(folder / "metadata.csv", header, rows)


def test_pairs_of_the_archive_are_modalities_by_role(tmp_path: Path) -> None:
    pairs(tmp_path / "data")
    out = tmp_path / "mine.yaml"
    said = CliRunner().invoke(cli.cli, ["init", str(tmp_path / "data"), "--out", str(out)])
    assert said.exit_code == 0
    config = load_config(RunConfig, out)
    assert config.cohort.unit == "lesion"
    assert config.ablation.modalities is not None
    roles = {name: modality.role for name, modality in config.ablation.modalities.items()}
    assert roles == {"clinic": "close-up", "derm": "dermoscopic"}


def test_without_the_column_nobody_says_the_role(tmp_path: Path) -> None:
    pairs(tmp_path)
    table = pd.read_csv(tmp_path / "metadata.csv")
    for name, column in (("with.csv", table), ("without.csv", table.drop(columns="Image_Type"))):
        column.to_csv(tmp_path / name, index=False)
        source = validate(IsicSource, {"metadata": [name], "images": ["."]}, "config")
        images = source.read(ReadContext(tmp_path, tmp_path / "scratch")).images
        assert ("image_role" in images) == (name == "with.csv")
