"""Tables whose cells stand between pipes, as PH2's text file and Markdown have them."""

from __future__ import annotations

import re

from featurestore.errors import DataError

_EDGES = re.compile(r"^\s*\|{1,2}|\|{1,2}\s*$")
_BETWEEN = re.compile(r"\|{1,2}")
_RULE = re.compile(r"[\s|:+-]*")
"""The line that Markdown draws below a header."""


def is_piped(text: str) -> bool:
    """Whether the first line that is not empty stands between pipes."""
    first = text.lstrip().partition("\n")[0].strip()
    return first.startswith("|") and first.endswith("|") and len(_cells(first)) > 1


def without_pipes(text: str, where: str) -> str:
    """A piped table as tab-delimited text; a legend below it is no part of it.

    Args:
        text: Text with LF, CRLF or CR at the ends of lines.
        where: Names the file in messages.

    Raises:
        DataError: A row as long as the header follows below the legend.
    """
    rows: list[list[str]] = []
    ended = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("|"):
            ended = True
        elif not ended and not _RULE.fullmatch(line):
            rows.append(_cells(line))
        elif ended and len(_cells(line)) == len(rows[0]):
            raise DataError(
                f"{where}: line {number} is a row below lines without pipes; take out what stands "
                "between the rows"
            )
    return "".join("\t".join(cells) + "\n" for cells in rows)


def _cells(line: str) -> list[str]:
    inner = _EDGES.sub("", line)
    return [" ".join(cell.split()) for cell in _BETWEEN.split(inner)]
