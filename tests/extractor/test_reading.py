from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from extractor.images import Geometry
from extractor.reading import CHANGED, contents_of, read_content
from featurestore.errors import DataError

G = Geometry(32)
LIMIT = 1_000_000
Table = Callable[[Sequence[Path]], pd.DataFrame]


@pytest.fixture
def copies(tmp_path: Path, picture: Callable[..., Image.Image]) -> list[Path]:
    """One picture under three names."""
    picture(0).save(tmp_path / "b.png")
    data = (tmp_path / "b.png").read_bytes()
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in ("a.png", "b.png", "c.png")]


def test_rows_with_the_same_bytes_are_one_content_in_any_order(
    copies: list[Path], table_of: Table, tmp_path: Path
) -> None:
    table = table_of(copies)
    contents = contents_of(table, tmp_path)
    assert [c.image_id for c in contents[0].copies] == ["a", "b", "c"]
    assert contents_of(table.iloc[::-1], tmp_path) == contents
    assert len(contents) == 1


def test_relative_paths_start_from_the_data_root(copies: list[Path], table_of: Table) -> None:
    table = table_of(copies[:1]).assign(path="a.png")
    content = contents_of(table, copies[0].parent)[0]
    assert content.copies[0].path == copies[0]
    assert read_content(content, [G], LIMIT).squares[G].shape == (32, 32, 3)


def test_a_copy_that_is_gone_or_changed_is_refused_alone(
    copies: list[Path], table_of: Table, tmp_path: Path
) -> None:
    content = contents_of(table_of(copies), tmp_path)[0]
    expected = read_content(content, [G], LIMIT).squares[G]
    copies[0].unlink()
    copies[1].write_bytes(copies[1].read_bytes() + b"more")
    reading = read_content(content, [G], LIMIT)
    assert [(r.image_id, r.reason) for r in reading.refused] == [
        ("a", "no such file"),
        ("b", CHANGED),
    ]
    assert reading.copy is not None
    assert reading.copy.image_id == "c"
    np.testing.assert_array_equal(reading.squares[G], expected)


def test_a_picture_in_an_archive_is_the_picture(
    copies: list[Path], table_of: Table, tmp_path: Path
) -> None:
    archive = tmp_path / "in" / "a.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(copies[0], "x/a.png")
    loose = table_of(copies[:1])
    packed = loose.assign(path="in/a.zip::x/a.png")  # relative to the data root, as any path
    reading = read_content(contents_of(packed, tmp_path)[0], [G], LIMIT)
    expected = read_content(contents_of(loose, tmp_path)[0], [G], LIMIT)
    np.testing.assert_array_equal(reading.squares[G], expected.squares[G])
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/a.png", b"something else")
    reading = read_content(contents_of(packed, tmp_path)[0], [G], LIMIT)
    assert [(r.path, r.reason) for r in reading.refused] == [
        (f"{archive}::x/a.png", CHANGED),
    ]


def test_bytes_that_cannot_be_decoded_refuse_every_copy(tmp_path: Path, table_of: Table) -> None:
    paths = [tmp_path / f"{name}.jpg" for name in "ab"]
    for path in paths:
        path.write_bytes(b"")
    reading = read_content(contents_of(table_of(paths), tmp_path)[0], [G], LIMIT)
    assert reading.copy is None
    assert not reading.squares
    assert [(r.image_id, r.path) for r in reading.refused] == [
        ("a", str(paths[0])),
        ("b", str(paths[1])),
    ]
    assert {r.sha256 for r in reading.refused} == {hashlib.sha256(b"").hexdigest()}
    assert all(r.reason for r in reading.refused)


@pytest.mark.parametrize("missing", ["", None])
def test_files_without_a_digest_are_contents_of_their_own(
    copies: list[Path], table_of: Table, tmp_path: Path, missing: str | None
) -> None:
    table = table_of(copies)
    table.loc[table["image_id"] != "a", "sha256"] = missing
    contents = contents_of(table, tmp_path)
    assert sorted(c.sha256 for c in contents)[:2] == ["", ""]
    assert len(contents) == 3
    reasons = [r.reason for c in contents for r in read_content(c, [G], LIMIT).refused]
    assert reasons == [CHANGED, CHANGED]


def test_a_folder_and_an_enormous_file_are_refused_unread(tmp_path: Path, table_of: Table) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    content = contents_of(table_of([path]), tmp_path)[0]
    with path.open("wb") as file:
        file.truncate(80_000_000)
    refused = read_content(content, [G], LIMIT).refused[0]
    assert refused.reason == "larger than 72,000,000 bytes"  # 8 a pixel, and 64 MB beside them
    path.unlink()
    path.mkdir()
    assert read_content(content, [G], LIMIT).refused[0].reason == "not a file"


def test_a_malformed_table_is_an_error_that_names_what_is_wrong(
    copies: list[Path], table_of: Table, tmp_path: Path
) -> None:
    table = table_of(copies)
    with pytest.raises(DataError, match="lacks the columns sha256"):
        contents_of(table.drop(columns="sha256"), tmp_path)
    with pytest.raises(DataError, match="duplicate image_id in the images table: a"):
        contents_of(pd.concat([table, table.iloc[:1]]), tmp_path)
