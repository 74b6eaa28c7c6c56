"""The first sheet of a workbook by its XML alone (ECMA-376), for tests."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
EPOCH = pd.Timestamp("1899-12-30")


def read_xlsx(path: Path) -> pd.DataFrame:
    """Texts and numbers; days are numbers since `EPOCH`, empty cells None."""
    with zipfile.ZipFile(path) as archive:
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
        shared: list[str] = []
        if "xl/sharedStrings.xml" in archive.namelist():
            root = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
            shared = [_text(item) for item in root.findall(f"{MAIN}si")]
    rows: dict[int, dict[int, object]] = {}
    for row in sheet.iter(f"{MAIN}row"):
        cells = rows.setdefault(int(row.attrib["r"]), {})
        for cell in row:
            cells[_column(cell.attrib["r"])] = _value(cell, shared)
    width = len(rows[1])
    last = max(rows)
    body = [[rows.get(k, {}).get(c) for c in range(width)] for k in range(2, last + 1)]
    return pd.DataFrame(body, columns=[rows[1][c] for c in range(width)], dtype=object)


def _value(cell: ElementTree.Element, shared: list[str]) -> object:
    inline, value = cell.find(f"{MAIN}is"), cell.find(f"{MAIN}v")
    if inline is not None:
        return _text(inline)
    if value is None or value.text is None:
        return None
    if cell.attrib.get("t") == "s":
        return shared[int(value.text)]
    return value.text if cell.attrib.get("t") == "str" else float(value.text)


def _text(element: ElementTree.Element) -> str:
    text = "".join(part.text or "" for part in element.iter(f"{MAIN}t"))
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def _column(reference: str) -> int:
    place = 0
    for letter in re.match("[A-Z]+", reference)[0]:  # type: ignore[index]
        place = 26 * place + ord(letter) - 64
    return place - 1
