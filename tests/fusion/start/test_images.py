"""Image files that `init` is given: whose they are, and what is said of those without an owner."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from propose_example import init, own_table, pictures, text_of, written

from featurestore.cohort.assemble import build_cohort
from featurestore.sources.base import ReadContext


@pytest.mark.parametrize("subfolder", ["", "deep/er"])
def test_images_are_matched_by_id(tmp_path: Path, subfolder: str) -> None:
    table = own_table(tmp_path)
    pictures(tmp_path / "scans" / subfolder, [f"P{k:03d}.png" for k in range(30)])
    result = init(tmp_path, "--images", tmp_path / "scans", "--table", table)
    assert result.exit_code == 0, result.output
    assert "30 image files belong to a row" in result.output
    config = written(tmp_path)
    cohort = build_cohort(config.cohort, "mine", ReadContext(tmp_path, tmp_path / "scratch"))
    assert len(cohort.images) == 30
    text = text_of(tmp_path)
    assert "column 'Patient ID' names 30 of 30 image files; 10 of its 40 ids have no file" in text


def test_images_are_matched_by_file_name(tmp_path: Path) -> None:
    names = [f"scan {k}.png" for k in range(20)]
    pictures(tmp_path / "scans", names)
    table = pd.DataFrame({"patient": [f"p{k // 2}" for k in range(20)], "file": names})
    table["melanoma"] = table["patient"].isin(["p1", "p2", "p3"]).astype(int)
    table.to_csv(tmp_path / "images.csv", index=False)
    result = init(tmp_path, "--images", tmp_path / "scans", "--table", tmp_path / "images.csv")
    assert result.exit_code == 0, result.output
    cohort = build_cohort(written(tmp_path).cohort, "mine", ReadContext(tmp_path, tmp_path / "s"))
    assert (len(cohort.images), cohort.n_patients, cohort.n_events) == (20, 10, 3)


def test_images_that_nothing_uses_are_said(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", ["a.jpg", "b.jpg"])
    result = init(tmp_path, "--images", folder, "--table", own_table(tmp_path))
    assert f"NOTE no image is used: no table names the 2 files of {folder}" in result.output
    assert "no image is used" in text_of(tmp_path)
    (tmp_path / "mine.yaml").unlink()
    (tmp_path / "empty").mkdir()
    result = init(tmp_path, "--images", tmp_path / "empty", "--table", tmp_path / "patients.csv")
    assert "there is no file that ends with .apng, .bmp, .dcm" in result.output


@pytest.mark.parametrize("ending", ["bmp", "gif", "webp", "tiff"])
def test_images_of_every_decoded_format(tmp_path: Path, ending: str) -> None:
    names = [f"P{k:03d}.{ending}" for k in range(38)]
    folder = pictures(tmp_path / "images", names)
    result = init(tmp_path, "--images", folder, "--table", own_table(tmp_path))
    assert "38 image files belong to a row, 0 of 38 files do not, and 2 ids" in result.output
    assert "NOTE" not in result.output
