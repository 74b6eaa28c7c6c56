"""Tables as they arrive: strategies that spoil a small invented table in the ways people do."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

HTML = "<!DOCTYPE html>\n<html><head><title>503</title></head><body>Try later</body></html>\n"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")
LINE_ENDS = ("\n", "\r\n", "\r")


@dataclasses.dataclass(frozen=True)
class Wild:
    """What was done to a table.

    Attributes:
        harmless: Order of columns, encoding and line ends: the values must be the same.
        order: Order of the columns.
        encoding: Encoding of the file.
        line_end: Line end of the file.
        trailing: Whether the last line ends.
        damage: `none`, or what was spoiled: `html`, `truncated`, `without ids`, `empty`, `binary`,
            `ragged`, `gzip`.
    """

    order: tuple[int, ...]
    encoding: str
    line_end: str
    trailing: bool
    damage: str

    def write(self, rows: Sequence[Sequence[str]], path: Path, header_lines: int = 1) -> None:
        """Writes the rows (header first) as a tab-delimited file, spoiled as described."""
        turned = [[row[k] for k in self.order] for row in rows]
        if self.damage == "without ids":
            first = self.order.index(0)
            turned = [[cell for k, cell in enumerate(row) if k != first] for row in turned]
        if self.damage == "ragged":
            turned[-1] = turned[-1][:-1]
        if self.damage == "truncated":
            turned = turned[:header_lines]
        text = self.line_end.join("\t".join(row) for row in turned)
        text += self.line_end if self.trailing else ""
        content = text.encode(self.encoding)
        match self.damage:
            case "html":
                content = HTML.encode()
            case "empty":
                content = b""
            case "binary":
                content = b"\x89HDF\r\n\x1a\n" + bytes(range(256))
            case "gzip":
                content = gzip.compress(content, mtime=0)[:-10]
        path.write_bytes(content)


def wild(columns: int, damages: Sequence[str]) -> st.SearchStrategy[Wild]:
    """Strategies over everything that may happen to a table of so many columns."""
    return st.builds(
        Wild,
        order=st.permutations(range(columns)).map(tuple),
        encoding=st.sampled_from(ENCODINGS),
        line_end=st.sampled_from(LINE_ENDS),
        trailing=st.booleans(),
        damage=st.sampled_from(list(damages)),
    )


DAMAGES = ("html", "truncated", "without ids", "empty", "binary", "ragged", "gzip")
