"""What lies in a folder is found by what it is, and a folder without a study says so."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cli
from featurestore.errors import ConfigError, DataError
from fusion.paths import RunPaths
from fusion.start.propose import look_into

ROWS = "patient\tage\tmetastasis\n" + "".join(f"P{k}\t{30 + k}\t{k % 2}\n" for k in range(24))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_tables_with_and_without_ending(tmp_path: Path) -> None:
    tables = [
        write(tmp_path / "HAM10000_metadata", ROWS),
        write(tmp_path / "deep" / "down" / "a.csv", ROWS.replace("\t", ",")),
        write(tmp_path / "deep" / "table.txt", ROWS),
    ]
    write(tmp_path / "LICENSE", "You may.\nYou may not.\n")
    write(tmp_path / "README.txt", "Read this first.\n")
    write(tmp_path / ".hidden.csv", ROWS)
    write(tmp_path / "__MACOSX" / "b.csv", ROWS)
    run = RunPaths(tmp_path / "runs" / "mine")
    write(run.config, "name: mine\n")
    write(run.cohort / "patients.csv", ROWS)
    found, images = look_into(tmp_path)
    assert sorted(found) == sorted(tables)
    assert images == []
    picture(tmp_path / "deep" / "I1.jpg")
    assert look_into(tmp_path)[1] == [tmp_path]


def test_a_packed_table_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "p.tsv.gz").write_bytes(gzip.compress(ROWS.encode()))
    out = tmp_path / "mine.yaml"
    result = CliRunner().invoke(cli.cli, ["init", str(tmp_path / "data"), "--out", str(out)])
    assert result.exit_code == 0
    assert "outcome metastasis" in result.output
    assert "path: data/p.tsv.gz" in out.read_text(encoding="utf-8")


def test_tables_in_archives_are_found_unless_somebody_unpacked_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("deep/a.csv", ROWS.replace("\t", ","))
        archive.writestr("HAM10000_metadata", ROWS)
        archive.writestr("LICENSE.txt", "You may.\nYou may not.\n")
        archive.writestr("__MACOSX/deep/._a.csv", "x")
    inside = [Path(f"{tmp_path}/all.zip::{name}") for name in ("HAM10000_metadata", "deep/a.csv")]
    assert look_into(tmp_path)[0] == inside
    loose = write(tmp_path / "a.csv", ROWS.replace("\t", ","))
    assert look_into(tmp_path)[0] == [loose, inside[0]]
    (tmp_path / "broken.zip").write_bytes(b"PK")
    assert look_into(tmp_path)[0] == [loose, inside[0]]


def test_a_form_for_predictions_gives_no_labels(tmp_path: Path) -> None:
    rows = "".join(f"ISIC_{k:07d},{k % 2}\n" for k in range(24))
    write(tmp_path / "data" / "train.csv", "image_name,target\n" + rows)
    write(tmp_path / "data" / "sample_submission.csv", "image_name,target\nISIC_9999999,0\n")
    for k in range(24):
        picture(tmp_path / "data" / f"ISIC_{k:07d}.jpg")
    picture(tmp_path / "data" / "ISIC_9999999.jpg")
    arguments = ["init", str(tmp_path / "data"), "--out", str(tmp_path / "mine.yaml")]
    said = CliRunner().invoke(cli.cli, arguments).output
    assert "sample_submission.csv: a form for the predictions of a challenge" in said
    assert "24 image files belong to a row, 1 of 25 files does not, and 0 ids have no file" in said
    assert "outcome melanoma: 12 with, 12 without" in said


def test_archives_in_an_archive_are_named(tmp_path: Path) -> None:
    rows = "".join(f"ISIC_{k:07d},{k % 2}\n" for k in range(24))
    write(tmp_path / "data" / "train.csv", "image_name,target\n" + rows)
    with zipfile.ZipFile(tmp_path / "data" / "all.zip", "w") as archive:
        archive.writestr("part_1.zip", b"PK")
        archive.writestr("train-image.hdf5", b"\x89HDF")
    arguments = ["init", str(tmp_path / "data"), "--out", str(tmp_path / "mine.yaml")]
    said = CliRunner().invoke(cli.cli, arguments).output
    for name in ("part_1.zip", "train-image.hdf5"):
        assert f"all.zip::{name}: packed inside an archive; unpack the outer one" in said
    assert "NOTE no image is used" not in said


def test_a_folder_without_a_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        look_into(tmp_path / "absent")
    with pytest.raises(ConfigError, match="holds neither table nor image"):
        look_into(tmp_path)
    picture(tmp_path / "I1.jpg")
    with pytest.raises(ConfigError, match="holds images, but no table that is recognised"):
        look_into(tmp_path)
    for k in range(201):
        write(tmp_path / f"{k}.csv", ROWS)
    with pytest.raises(ConfigError, match="holds 201 tables, as a folder of one table a patient"):
        look_into(tmp_path)
