"""A table in a zip archive is the table that it would be as a file, or refused like an image."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from featurestore.errors import DataError
from featurestore.tables import archived_files, read_head, read_table, split_archived

ROWS = "id;size\n" + "".join(f"L{k};{k},5\n" for k in range(30))


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def workbook() -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    for line in ROWS.splitlines():
        book.active.append(line.split(";"))
    book.save(file)
    return file.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


def test_every_form_of_table_is_read_as_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(ROWS, encoding="utf-8")
    loose = read_table(tmp_path / "t.csv")
    forms = {
        "deep/t.csv": ROWS.encode(),
        "utf16.csv": ROWS.encode("utf-16"),
        "t.csv.gz": gzip.compress(ROWS.encode()),
        "t.xlsx": workbook(),
        "t.parquet": parquet(loose),
    }
    archive = packed(tmp_path / "All.ZIP", {**forms, "__MACOSX/._t.csv": b"x", "deep/": b""})
    found = archived_files(archive)
    inside = [split_archived(file.path) for file in found]
    assert inside == [(archive, name) for name in sorted(forms)]
    assert (found[0].name, found[0].size) == ("t.csv", len(ROWS))
    for file in found:
        pd.testing.assert_frame_equal(read_table(file.path), loose)
        assert read_head(file.path).header == ("id", "size")


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    members = {"a.csv": ROWS.encode(), "big.csv": b"a,b\n" + b"1,2\n" * 20_000_000}
    archive = packed(tmp_path / "a.zip", members)
    with pytest.raises(DataError, match=r"no such file in its archive: .*a\.zip::b\.csv"):
        read_table(Path(f"{archive}::b.csv"))
    with pytest.raises(DataError, match=r"no such file: .*none\.zip::a\.csv"):
        read_table(tmp_path / "none.zip::a.csv")
    with pytest.raises(DataError, match="would unpack to more than 100 times its size"):
        read_table(Path(f"{archive}::big.csv"))
    whole = archive.read_bytes()
    flagged = whole.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x01\x00\x08\x00")
    archive.write_bytes(flagged)
    with pytest.raises(DataError, match=r"a\.zip::a\.csv: encrypted"):
        read_head(Path(f"{archive}::a.csv"))
    archive.write_bytes(whole[:40] + b"\0" * 40 + whole[80:])
    with pytest.raises(DataError, match="damaged in its archive"):
        read_table(Path(f"{archive}::a.csv"))
    archive.write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(DataError, match="not a readable zip archive"):
        archived_files(archive)
