"""Reads delimited text and Parquet as text, the same way for every source.

Cells are text without surrounding white space. What counts as missing, and what type a column has,
is decided later (`featurestore.tables.parsing`), never by a parser's own defaults: those eat gene
names and the word `None`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from featurestore.errors import DataError, name_some, one_line
from featurestore.tables.archived import open_binary, size_of
from featurestore.tables.encoding import decode
from featurestore.tables.headers import ROW_NAMES, delimiter_of, find_header, looks_like_a_row
from featurestore.tables.packed import read_unpacked
from featurestore.tables.piped import is_piped, without_pipes
from featurestore.tables.workbook import MAGIC, is_workbook, workbook_text

MAX_TABLE_BYTES = 500_000_000
MAX_HEAD_BYTES = 1_000_000
MAX_ROWS = 20_000_000
MAX_COLUMNS = 200_000
MAX_CELLS = 300_000_000
MAX_HEADER_CHARACTERS = 10_000_000
_UNPACKED = 8  # times the size of a packed file
_BLOCK_BYTES = 16_000_000
_LOOKED_AT = 40
_SNIFFED_CHARACTERS = 4096
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Excel workbook; export the sheet as CSV"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"%PDF", "a PDF"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"\x89HDF", "an HDF5 file"),
)


def read_table(
    path: Path,
    comment_lines: int = 0,
    max_bytes: int = MAX_TABLE_BYTES,
    header: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Reads a table as text.

    CSV and TSV may be UTF-8 (with or without byte order mark), UTF-16 with byte order mark, or one
    of the older encodings that can be told for certain (`featurestore.tables.encoding`); lines may
    end in LF, CRLF or CR. The delimiter is a tab where the header has one, else a comma or
    semicolon, whichever the header has more of; or cells stand between pipes, and a legend below
    them is no part of the table. Quotes follow RFC 4180, but in a tab-delimited table a quote is an
    ordinary character as long as every row has the header's number of fields that way (clinical
    tables hold unbalanced quotes). Titles above the header and rows without any text are no part of
    the table.

    Args:
        path: File, or one in a zip archive (`archive.zip::table.csv`); `.parquet` and `.pq` are
            read as Parquet, Excel workbooks (`.xlsx`) by their one table
            (`featurestore.tables.workbook`), all else as delimited text, which gzip may have
            packed.
        comment_lines: Lines before the header to skip.
        max_bytes: Larger files are refused.
        header: Names of the columns of a delimited file that has none.

    Returns:
        Table of text columns; an empty cell is the empty text. A column without a name is called
        `unnamed_1`, `unnamed_2`, … by its place, and the first one `row_names` where R left its
        name out.

    Raises:
        DataError: The file cannot be read, is too large, is no table, begins with a row in place
            of a header, has a row with another number of fields than the header, or two columns of
            one name.
    """
    _check_file(path, max_bytes)
    if path.suffix.lower() in (".parquet", ".pq"):
        names, columns = _read_parquet(path, max_bytes)
    else:
        text, _ = _decode(path, max_bytes, whole=True)
        names, columns = _read_delimited(path, text, comment_lines, header)
    names = [name or f"unnamed_{k + 1}" for k, name in enumerate(names)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: the header names these columns twice: {name_some(repeated)}")
    trimmed = [pc.utf8_trim_whitespace(column) for column in columns]
    table = pa.table(trimmed, names=names).to_pandas().astype("str")
    empty = (table == "").all(axis=1)
    return table[~empty].reset_index(drop=True) if empty.any() else table


@dataclasses.dataclass(frozen=True)
class TableHead:
    """The beginning of a table.

    Attributes:
        comments: Lines that start with `#`, or are titles, before the header.
        header: Column names; empty if nothing follows the comments.
        rows: First rows; a row may have another number of fields than the header.
    """

    comments: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_head(path: Path, n_rows: int = 20, max_bytes: int = MAX_HEAD_BYTES) -> TableHead:
    """Reads the first rows of a table of any size, at most `max_bytes` of it.

    It is lenient where `read_table` is strict (ragged rows, repeated names), because it is there
    to say what a file is, not to read values.

    Args:
        path: CSV, TSV or Parquet file.
        n_rows: Rows after the header.
        max_bytes: Bytes that are looked at; a row that they cut is left out.

    Raises:
        DataError: The file cannot be read or is no table; the message says what it is instead.
    """
    _check_file(path, max_bytes=None)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet_head(path, n_rows)
    text, is_all = _decode(path, max_bytes, whole=False)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > 1 and not is_all:
        del lines[-1]
    body = next((k for k, line in enumerate(lines) if line and not line.startswith("#")), None)
    if body is None:
        return TableHead(tuple(lines), (), ())
    place = find_header("\n".join(lines[body:]))
    body += place.titles
    reader = csv.reader(
        lines[body:],
        delimiter=place.delimiter,
        quoting=csv.QUOTE_NONE if place.delimiter == "\t" else csv.QUOTE_MINIMAL,
    )
    try:
        rows = [tuple(_bare(c) for c in row) for row in itertools.islice(reader, n_rows + 1)]
    except csv.Error as error:
        raise DataError(f"{path} is no table ({error})") from None
    header = (ROW_NAMES, *rows[0]) if place.row_names else rows[0]
    return TableHead(tuple(lines[:body]), header, tuple(row for row in rows[1:] if any(row)))


def require_header(table: pd.DataFrame, names: list[str], path: Path) -> None:
    """Raises DataError that names the columns which the file lacks, and those it has."""
    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise DataError(
            f"{path}: no column {name_some([repr(n) for n in lacking])}; the file has "
            f"{name_some(list(table.columns), 12)}"
        )


def _check_file(path: Path, max_bytes: int | None) -> None:
    try:
        size = size_of(path)
        if size is None and path.exists():
            raise DataError(f"{path} is not a file")
        if size is None:
            raise DataError(f"no such file: {path} (relative paths start at the data root)")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if max_bytes is not None and size > max_bytes:
        raise DataError(f"{path}: {size:,} bytes; tables above {max_bytes:,} bytes are refused")
    if size == 0:
        raise DataError(f"{path} is empty")


def _read_parquet(path: Path, max_bytes: int) -> tuple[list[str], list[pa.ChunkedArray]]:
    try:
        _require_sane_footer(path, max_bytes)
        with open_binary(path) as file:
            table = pq.read_table(file, partitioning=None)
    except (pa.ArrowException, OSError, MemoryError) as error:
        reason = one_line(error, 120)
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from None
    names = [str(name).strip() for name in table.column_names]
    columns = []
    for name, column in zip(names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        columns.append(_as_text(column, f"{path}: column {name!r}"))
    return names, columns


def _require_sane_footer(path: Path, max_bytes: int) -> None:
    """Refuses a file that promises more than any table has, before memory is asked for it."""
    with open_binary(path) as file:
        facts = pq.read_metadata(file)
    rows, columns = facts.num_rows, facts.num_columns
    groups = (facts.row_group(k) for k in range(facts.num_row_groups))
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise DataError(
            f"{path}: its footer promises {rows:,} rows of {columns:,} columns; at most "
            f"{MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and {MAX_CELLS:,} cells are read"
        )
    size = sum(group.total_byte_size for group in groups)
    if size > _UNPACKED * max_bytes:
        raise DataError(
            f"{path}: {size:,} bytes when unpacked; at most {_UNPACKED * max_bytes:,} are read"
        )


def _parquet_head(path: Path, n_rows: int) -> TableHead:
    try:
        _require_sane_footer(path, MAX_TABLE_BYTES)
        with open_binary(path) as raw, pq.ParquetFile(raw) as file:
            names = tuple(str(name).strip() for name in file.schema_arrow.names)
            batch = next(file.iter_batches(batch_size=n_rows), None)
            cells = [] if batch is None else [_shown(column) for column in batch.columns]
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = one_line(error, 120)
        raise DataError(f"{path}: not a readable Parquet file ({reason})") from None
    return TableHead((), names, tuple(zip(*cells, strict=True)))


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _shown(column: pa.Array) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _as_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Casts to text; whole floats lose their `.0`, because ids with gaps are stored as floats."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise DataError(f"{where} holds {kind}, not single values")
    if pa.types.is_floating(kind):
        known = column.drop_null().to_numpy()
        if len(known) and all(value.is_integer() for value in known.tolist()):
            text = [None if v is None else f"{v:.0f}" for v in column.to_pylist()]
            return pa.chunked_array([pa.array(text, pa.string())]).fill_null("")
        column = pc.if_else(pc.is_nan(column), None, column)
    try:
        return column.cast(pa.string()).fill_null("")
    except pa.ArrowException:
        raise DataError(f"{where} holds {kind}, which has no text form") from None


def _read_delimited(
    path: Path, text: str, comment_lines: int, header: Sequence[str] | None
) -> tuple[list[str], list[pa.ChunkedArray]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(comment_lines):
        _, _, text = text.partition("\n")
    text = text.lstrip("\n")
    if not text.strip():
        raise DataError(f"{path}: nothing stands after {comment_lines} comment lines")
    if header is not None:
        columns = _columns(path, text, delimiter_of(text.partition("\n")[0]), 0)
        if len(columns) != len(header):
            raise DataError(f"{path}: {len(columns)} columns in place of {', '.join(header)}")
        return list(header), columns
    place = find_header(text)
    for _ in range(place.titles):
        _, _, text = text.partition("\n")
    text = text.lstrip("\n")
    columns = _columns(path, text, place.delimiter, int(place.row_names))
    names, columns = _split_header(columns, place.row_names)
    _refuse_a_row(names, columns, path)
    return names, columns


def _refuse_a_row(names: list[str], columns: list[pa.ChunkedArray], path: Path) -> None:
    rows = list(zip(*(column.slice(0, _LOOKED_AT).to_pylist() for column in columns), strict=True))
    if looks_like_a_row(names, rows):
        raise DataError(
            f"{path} has no header: its first line ({name_some([repr(n) for n in names], 4)}) is a "
            "row like those below; put a line with the names of the columns above it"
        )


def _columns(path: Path, text: str, delimiter: str, more: int) -> list[pa.ChunkedArray]:
    """Columns with their header as first cell; of `more` columns the header has no cell."""
    first, _, _ = text.partition("\n")
    _require_sane_header(first, path)
    if more:  # an empty name for what the header leaves out
        text = delimiter + text
    body = text.encode()
    if delimiter == "\t":
        plain = _parse(body, delimiter, len(first.split("\t")) + more, quoted=False)
        if isinstance(plain, pa.Table):
            return [_unquoted(c) for c in plain.columns]
    try:
        n_fields = len(next(csv.reader(io.StringIO(text), delimiter=delimiter)))
    except csv.Error as error:
        raise DataError(f"{path} is no table ({error})") from None
    parsed = _parse(body, delimiter, n_fields, quoted=True)
    if isinstance(parsed, str):
        raise DataError(
            f"{path}: {_where_ragged(text, delimiter, n_fields) or parsed}; the header has "
            f"{n_fields - more} columns"
        )
    return list(parsed.columns)


def _require_sane_header(header: str, path: Path) -> None:
    columns = 1 + max(header.count(mark) for mark in "\t,;")
    if len(header) > MAX_HEADER_CHARACTERS or columns > MAX_COLUMNS:
        raise DataError(
            f"{path}: its header line has {len(header):,} characters and {columns:,} columns; at "
            f"most {MAX_HEADER_CHARACTERS:,} and {MAX_COLUMNS:,} are read"
        )


def _decode(path: Path, max_bytes: int, whole: bool) -> tuple[str, bool]:
    """The text of a file, or of its first `max_bytes`, and whether it is all of it."""
    raw, is_all = read_unpacked(path, max_bytes, whole)
    if raw.startswith(MAGIC) and is_workbook(path):
        limit = _UNPACKED * MAX_TABLE_BYTES
        return workbook_text(path, limit, None if whole else _LOOKED_AT)
    for magic, kind in _OTHER_FILES:
        if raw.startswith(magic):
            raise DataError(f"{path} is no table but {kind}")
    text = decode(raw, str(path), final=is_all)
    head = text[:_SNIFFED_CHARACTERS].lstrip().lower()
    if "\0" in text:
        raise DataError(f"{path} is a binary file, not a table")
    if head.startswith("<"):
        raise DataError(
            f"{path} is an HTML or XML page, not a table; was the download a login or error page?"
        )
    if head.startswith(("{", "[{")):
        raise DataError(f"{path} is JSON, not a table")
    if is_piped(text):
        text = without_pipes(text if is_all else text.rpartition("\n")[0], str(path))
    return text, is_all


def _parse(body: bytes, delimiter: str, n_fields: int, quoted: bool) -> pa.Table | str:
    """The table with its header as first row, or why it is none."""
    names = [str(k) for k in range(n_fields)]
    try:
        return pyarrow.csv.read_csv(
            io.BytesIO(body),
            pyarrow.csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES),
            pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
            ),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowException as error:
        return one_line(error, 160)


def _unquoted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Removes the quotes of cells that are wholly quoted, and halves doubled ones in them."""
    inner = pc.replace_substring(pc.utf8_slice_codeunits(column, 1, -1), '""', '"')
    whole = pc.match_substring_regex(column, r'^"(?:[^"]|"")*"$')
    return pc.if_else(whole, inner, column)


def _split_header(
    columns: list[pa.ChunkedArray], row_names: bool
) -> tuple[list[str], list[pa.ChunkedArray]]:
    names = [column[0].as_py().strip() for column in columns]
    if row_names:
        names[0] = ROW_NAMES
    return names, [column.slice(1) for column in columns]


def _where_ragged(text: str, delimiter: str, n_fields: int) -> str:
    """Says which line has another number of fields."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in itertools.islice(reader, 5_000_000):
            if row and len(row) != n_fields:
                return f"line {reader.line_num} (after comments) has {len(row)} fields"
    except csv.Error:
        pass
    return ""
