"""Tables are read as text whatever their encoding, line ends, quoting or column order."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.tables.reading import read_head, read_table

CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12
).map(str.strip)
NAMES = st.lists(CELLS.filter(bool), min_size=2, max_size=5, unique=True)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), names=NAMES)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path: Path, data: st.DataObject, names: list[str]
) -> None:
    row = st.lists(CELLS, min_size=len(names), max_size=len(names))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    delimiter = data.draw(st.sampled_from([",", ";", "\t"]))
    ending = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    out = io.StringIO()
    # The header decides about the delimiter, so it holds no other one here.
    header = [f"c{k}" for k in range(len(names))]
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerows([header, names, *rows])
    path = write(tmp_path / "t.csv", out.getvalue().encode(encoding))
    read = read_table(path)
    assert list(read.columns) == header
    assert read.to_numpy().tolist() == [row for row in (names, *rows) if any(row)]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=200))
@example(content=b"a,b\n\x81,1\n")
@example(content=b'a,b\n"x,1\n')
@example(content=b'"')
@example(content=b"\n\n\n")
@example(content=b"a\tb\n")
def test_any_bytes_give_a_table_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "t.tsv", content)
    read = table_or_message(path)
    if isinstance(read, str):
        assert "\n" not in read
    else:
        assert len(set(read.columns)) == len(read.columns)
        assert (read.dtypes == "str").all()


def table_or_message(path: Path) -> pd.DataFrame | str:
    try:
        return read_table(path)
    except DataError as error:
        return str(error)


def test_latin_1_is_the_last_resort(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "name,ort\nMüller,Köln\n".encode("latin-1"))
    assert read_table(path).to_numpy().tolist() == [["Müller", "Köln"]]


def test_quotes_in_a_tab_table(tmp_path: Path) -> None:
    loose = write(tmp_path / "a.tsv", b'id\tnote\n1\t"5 mm\n2\tsays "no"\n3\t"whole ""cell"""\n')
    assert read_table(loose)["note"].tolist() == ['"5 mm', 'says "no"', 'whole "cell"']
    meant = write(tmp_path / "b.tsv", b'id\tnote\n1\t"a\tb"\n2\t"c\nd"\n')
    assert read_table(meant)["note"].tolist() == ["a\tb", "c\nd"]


def test_comment_lines_are_counted_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", b"#Id\tNote\n#STRING\tSTRING\nid\tnote\n1\t#2 of 3\n#3\tx\n")
    table = read_table(path, comment_lines=2)
    assert table.to_numpy().tolist() == [["1", "#2 of 3"], ["#3", "x"]]


def test_words_that_parsers_take_for_missing_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", b"gene,stage\nNA,None\nnull,nan\n")
    assert read_table(path).to_numpy().tolist() == [["NA", "None"], ["null", "nan"]]


def test_columns_without_a_name_are_numbered(tmp_path: Path) -> None:
    assert list(read_table(write(tmp_path / "t.csv", b",a,\n0,1,2\n")).columns) == [
        "unnamed_1",
        "a",
        "unnamed_3",
    ]


def test_parquet_is_text_too(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {
            "id": [1.0, None],
            "age": [55.5, 60.0],
            "flag": [True, None],
            "level": pd.Categorical(["a", None]),
        }
    )
    frame.to_parquet(path)
    assert read_table(path).to_numpy().tolist() == [["1", "55.5", "true", "a"], ["", "60", "", ""]]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"<!DOCTYPE html><html>Sign in</html>", "HTML or XML page"),
        ("t.tsv", b"\n  <html>", "HTML or XML page"),
        ("t.csv", b'{"detail": "not found"}', "JSON"),
        ("t.csv", b"PK\x03\x04rest", "a zip archive"),
        ("t.csv", b"\x1f\x8brest", "gzip"),
        ("t.csv", b"a,b\n\x00\x01,2\n", "binary file"),
        ("t.csv", b"\xff\xd8\xff\xe0", "JPEG image"),
        ("t.csv", b"", "is empty"),
        ("t.csv", b" \n \n", "nothing stands"),
        ("t.csv", b"a,b\n1,2\n3\n", "line 3 .* has 1 fields; the header has 2 columns"),
        ("t.csv", b"a,b\n1,2,3\n", "line 2 .* has 3 fields"),
        ("t.tsv", b"a\tb\n1\t2\t3\n", "line 2 .* has 3 fields"),
        ("t.csv", b"age,sex,age\n1,2,3\n", "names these columns twice: age"),
        ("t.csv", b"age, age\n1,2\n", "names these columns twice: age"),
        ("t.parquet", b"PAR1 nonsense", "not a readable Parquet file"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_table(write(tmp_path / name, content))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is not a file"):
        read_table(tmp_path)
    with pytest.raises(DataError, match="tables above 4 bytes are refused"):
        read_table(write(tmp_path / "t.csv", b"a,b\n1,2"), max_bytes=4)
    nested = tmp_path / "t.parquet"
    pd.DataFrame({"a": [[1, 2]]}).to_parquet(nested)
    with pytest.raises(DataError, match=r"column 'a' holds list<.*>, not single values"):
        read_table(nested)


def test_the_head_is_lenient_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "ragged.tsv"
    path.write_bytes(b'#one\n#two\n"a"\tb\tb\n1\t2\n' + b"3\t4\t5\n" * 1000 + b"\x00")
    head = read_head(path, n_rows=3, max_bytes=40)
    assert head.comments == ("#one", "#two")
    assert head.header == ("a", "b", "b")
    assert head.rows == (("1", "2"), ("3", "4", "5"), ("3", "4", "5"))


def test_the_head_never_ends_in_half_a_row_or_character(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    path.write_text("name,place\n" + "é,ü\n" * 50, encoding="utf-8")
    for size in range(12, 60):
        head = read_head(path, max_bytes=size)
        assert head.header == ("name", "place")
        assert set(head.rows) <= {("é", "ü")}


def test_the_head_of_parquet_and_of_comments_alone(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, None], "b": ["x", "y"]}).to_parquet(tmp_path / "t.parquet")
    head = read_head(tmp_path / "t.parquet", n_rows=1)
    assert (head.header, head.rows) == (("a", "b"), (("1.0", "x"),))
    (tmp_path / "c.txt").write_text("# only\n")
    assert read_head(tmp_path / "c.txt").header == ()


def test_a_footer_that_promises_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    rows = 21_000_000
    pq.write_table(pa.table({"a": pa.nulls(rows, pa.int8())}), path)
    assert path.stat().st_size < 100_000
    for read in (read_table, read_head):
        with pytest.raises(DataError, match="its footer promises 21,000,000 rows of 1 columns"):
            read(path)
    constant = pa.array(np.zeros(3_000_000, dtype=np.int64))
    pq.write_table(pa.table({"a": constant}), path, use_dictionary=False, compression="zstd")
    with pytest.raises(DataError, match="bytes when unpacked; at most 1,600,000 are read"):
        read_table(path, max_bytes=200_000)


@pytest.mark.parametrize(
    "header", [b"a" * 11_000_000, b"," * 300_000, b"\t" * 300_000, b"a," + b";" * 300_000]
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(header + b"\n1\n")
    with pytest.raises(DataError, match=r"its header line has .* characters and .* columns"):
        read_table(path)


def test_a_field_beyond_any_parser_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,"' + b"x" * 200_000 + b'"\n1,2\n')
    before = csv.field_size_limit(131_072)  # Python's own; a library may have raised it
    try:
        with pytest.raises(DataError, match="is no table"):
            read_table(path)
    finally:
        csv.field_size_limit(before)
