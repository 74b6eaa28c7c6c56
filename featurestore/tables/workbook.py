"""The one table of an Excel workbook as tab-delimited text, for the reader of text tables."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featurestore.errors import DataError, name_some, one_line
from featurestore.tables.archived import open_binary

MAGIC = b"PK\x03\x04"
MAX_MEMBERS = 10_000
MAX_CELLS = 20_000_000
"""Cells of a sheet, empty ones between others included."""
_EXACT = 2**53
"""Above this not every whole number has a float of its own."""
_LEADING_ZEROS = re.compile(r"0{2,}")
_BREAKS = re.compile(r"[\t\r\n]+")


def is_workbook(path: Path) -> bool:
    """Whether a file is an `.xlsx` workbook, whatever it is called."""
    try:
        with open_binary(path) as file, zipfile.ZipFile(file) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def workbook_text(path: Path, max_bytes: int, max_rows: int | None = None) -> tuple[str, bool]:
    """The table of a workbook, a line a row.

    Numbers are written with all their digits, whole ones without a point, with the leading zeros
    that their format shows; dates as ISO 8601; tabs and line breaks inside a cell as a space. Empty
    rows are left out. Formulas count by the value that was saved with them.

    Args:
        path: An `.xlsx` file.
        max_bytes: Most bytes when unpacked.
        max_rows: Rows after which to stop.

    Returns:
        The text, and whether it is all of the table.

    Raises:
        DataError: The workbook cannot be read, is too large, has no table or several, or formulas
            without values; or the extra `excel` is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise DataError(
            f"{path} is an Excel workbook, which needs the extra `excel`: pip install "
            "'melafuse[excel]'; or export the sheet as CSV"
        ) from None
    _require_sane_size(path, max_bytes)
    try:
        # Twice: a formula whose value was never saved reads as nothing among the values. From open
        # files, because a name must end in .xlsx.
        with open_binary(path) as one, open_binary(path) as other:
            shown = openpyxl.load_workbook(one, read_only=True, data_only=True, keep_links=False)
            written = openpyxl.load_workbook(other, read_only=True, keep_links=False)
            sheet = _only_table(path, shown)
            formulas = written[sheet.title].iter_rows() if _has_formulas(path) else None
            return _text(path, sheet.iter_rows(), formulas, max_rows)
    except DataError:
        raise
    except Exception as error:  # a damaged workbook raises whatever its XML leads to
        raise DataError(
            f"{path}: not a readable Excel workbook ({one_line(error, 120)}); export the sheet as "
            "CSV"
        ) from None


def _require_sane_size(path: Path, max_bytes: int) -> None:
    """The archive cannot unpack to more than it says, so that what it says is enough to ask."""
    with open_binary(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    size = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or size > max_bytes:
        raise DataError(
            f"{path}: {len(members):,} parts of {size:,} bytes when unpacked; at most "
            f"{MAX_MEMBERS:,} parts and {max_bytes:,} bytes are read"
        )


def _only_table(path: Path, workbook: Any) -> Any:
    sheets = [s for s in workbook.worksheets if s.sheet_state == "visible" and _holds_something(s)]
    if not sheets:
        raise DataError(f"{path}: no visible sheet of the workbook holds anything")
    if len(sheets) > 1:
        names = name_some([repr(sheet.title) for sheet in sheets])
        raise DataError(
            f"{path}: {len(sheets)} sheets of the workbook hold something ({names}); save the one "
            "with the table as a workbook of its own, or as CSV"
        )
    return sheets[0]


def _holds_something(sheet: Any) -> bool:
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        if any(value is not None for value in row):
            return True
        cells += len(row)
        if cells > MAX_CELLS:
            return False
    return False


def _has_formulas(path: Path) -> bool:
    with open_binary(path) as file, zipfile.ZipFile(file) as archive:
        sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/")]
        return any(b"<f>" in data or b"<f " in data for data in map(archive.read, sheets))


def _text(
    path: Path, rows: Iterator[Any], formulas: Iterator[Any] | None, max_rows: int | None
) -> tuple[str, bool]:
    lines: list[list[str]] = []
    seen, is_all = 0, True
    for row in rows:
        written = next(formulas) if formulas is not None else ()
        seen += max(len(row), 1)
        if seen > MAX_CELLS:
            raise DataError(f"{path}: more than {MAX_CELLS:,} cells; export the sheet as CSV")
        _require_values(path, row, written)
        cells = [_cell(cell) for cell in row]
        if any(cells):
            lines.append(cells)
        if max_rows is not None and len(lines) >= max_rows:
            is_all = False
            break
    width = max(k + 1 for cells in lines for k, text in enumerate(cells) if text)
    padded = (cells[:width] + [""] * (width - len(cells)) for cells in lines)
    return "".join("\t".join(cells) + "\n" for cells in padded), is_all


def _require_values(path: Path, row: Any, written: Any) -> None:
    for value, cell in zip(row, written, strict=False):
        if cell.data_type == "f" and value.value is None:
            raise DataError(
                f"{path}: cell {cell.coordinate} is a formula whose value was never saved; open "
                "the workbook in a spreadsheet and save it, or export the sheet as CSV"
            )


def _cell(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, cell.number_format)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return _BREAKS.sub(" ", str(value))


def _number(value: float, shown_as: str | None) -> str:
    if not (isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT)):
        return repr(value)
    text = str(int(value))
    if shown_as is not None and _LEADING_ZEROS.fullmatch(shown_as):
        return text.zfill(len(shown_as))
    return text
