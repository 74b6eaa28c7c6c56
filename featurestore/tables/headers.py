"""Where the header of a delimited text is: below titles, one name short, or not there at all.

Spreadsheets put a title above the table, R leaves the name of its row names out, and some files
begin with their first patient. Each is told by the cells below, never by the name of the file.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import re
from collections.abc import Sequence

ROW_NAMES = "row_names"
"""Name of the column that R writes without one."""

_SAMPLED_ROWS = 40
_SAMPLED_CHARACTERS = 400_000
_MOST_TITLES = 15
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")

Row = Sequence[str]


@dataclasses.dataclass(frozen=True)
class HeaderPlace:
    """Where the header is.

    Attributes:
        titles: Lines above it that are no part of the table.
        delimiter: What parts its cells.
        row_names: Whether every row has one cell more than the header, the first.
    """

    titles: int
    delimiter: str
    row_names: bool


def find_header(text: str) -> HeaderPlace:
    """Finds the header of a text that begins with a line that is not empty."""
    lines = text[:_SAMPLED_CHARACTERS].split("\n", _SAMPLED_ROWS + _MOST_TITLES)
    if len(text) > _SAMPLED_CHARACTERS or len(lines) > _SAMPLED_ROWS + _MOST_TITLES:
        del lines[-1]  # cut
    if not lines:
        return HeaderPlace(0, delimiter_of(text[:_SAMPLED_CHARACTERS]), False)
    for k in range(1, min(_MOST_TITLES, len(lines) - 1) + 1):
        if lines[k].strip() and _is_below_titles(lines, k):
            return HeaderPlace(k, delimiter_of(lines[k]), False)
    delimiter = delimiter_of(lines[0])
    header, *rows = _cells(lines, _delimiter_of_rows(lines, delimiter))
    if _has_row_names(header, rows):
        return HeaderPlace(0, _delimiter_of_rows(lines, delimiter), True)
    return HeaderPlace(0, delimiter, False)


def delimiter_of(header: str) -> str:
    """A tab where the header has one, else a comma or semicolon, whichever it has more of."""
    bare = "".join(part for k, part in enumerate(header.split('"')) if k % 2 == 0)
    if "\t" in bare:
        return "\t"
    return ";" if bare.count(";") > bare.count(",") else ","


def looks_like_a_row(header: Row, rows: Sequence[Row]) -> bool:
    """Whether what stands in place of the header is a row like those below.

    A number above numbers and an id above ids of the same form show it; a word above numbers, or
    one without a digit above ids with digits, shows that it is a header.
    """
    fitting = [row for row in rows if len(row) == len(header)]
    if len(fitting) < 3:
        return False
    found = [_likeness(cell, [row[k] for row in fitting]) for k, cell in enumerate(header)]
    first = next((kind for cell, kind in zip(header, found, strict=True) if cell.strip()), "")
    return "name" not in found and first in ("value", "level") and "value" in found


def _likeness(cell: str, below: list[str]) -> str:
    """`value` or `level` where a cell is like those below it, `name` where it is none of them."""
    known = [text.strip() for text in below if text.strip()]
    cell = cell.strip()
    if not cell or not known:
        return ""
    if _share(_NUMBER.fullmatch(text) is not None for text in known) > 0.9:
        return "value" if _NUMBER.fullmatch(cell) else "name"
    if _share(bool(re.search(r"\d", text)) for text in known) > 0.9:
        if _share(_form(text) == _form(cell) for text in known) > 0.5:
            return "value"
        return "" if re.search(r"\d", cell) else "name"
    if cell in known and len(set(known)) <= max(2, len(known) // 3):
        return "level"
    return ""


def _share(found: object) -> float:
    marks = list(found)  # type: ignore[call-overload]
    return sum(marks) / len(marks)


def _form(text: str) -> str:
    """A text with every run of letters or digits as one sign: `ISIC_0000001` is `a_9`."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text))


def _is_below_titles(lines: list[str], k: int) -> bool:
    """Whether line `k` is a header and all lines above it are titles."""
    delimiter = delimiter_of(lines[k])
    header, *rows = _cells(lines[k:], delimiter)
    names = [cell.strip() for cell in header]
    if len(names) < 2 or not all(names) or len(set(names)) < len(names) or not rows:
        return False
    if any(len(row) != len(names) for row in rows) or any(map(_NUMBER.fullmatch, names)):
        return False
    if looks_like_a_row(names, rows):
        return False
    kinds = [_likeness(name, [row[j] for row in rows]) for j, name in enumerate(names)]
    above = [_cells([line], delimiter)[0] for line in lines[:k] if line.strip()]
    return any(any(cell.strip() for cell in row) for row in above) and all(
        _is_title(row, len(names), "name" in kinds) for row in above
    )


def _is_title(row: Row, width: int, certain: bool) -> bool:
    """No cell, one, the first, or few, where the header below is certain."""
    filled = [k for k, cell in enumerate(row) if cell.strip()]
    if len(row) not in (1, width):
        return False
    return filled in ([], [0]) or (certain and len(row) == width and 2 * len(filled) <= width)


def _has_row_names(header: Row, rows: Sequence[Row]) -> bool:
    if len(rows) < 2 or not all(cell.strip() for cell in header):
        return False
    if any(len(row) != len(header) + 1 for row in rows):
        return False
    names = [row[0] for row in rows]
    return all(names) and len(set(names)) == len(names) and any(row[-1].strip() for row in rows)


def _delimiter_of_rows(lines: list[str], delimiter: str) -> str:
    """The delimiter of the second line where a header of one name has none."""
    if len(lines) > 1 and not any(mark in lines[0] for mark in "\t,;"):
        return delimiter_of(lines[1])
    return delimiter


def _cells(lines: list[str], delimiter: str) -> list[Row]:
    """Rows of a sample; the last one may be cut inside quotes and is left out then."""
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    kept = (line for line in lines if line.strip())
    reader = csv.reader(kept, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    try:
        rows: list[Row] = list(itertools.islice(reader, _SAMPLED_ROWS))
    except csv.Error:
        return [[""]]
    return rows or [[""]]
