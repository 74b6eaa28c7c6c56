"""Tables and sentences as Markdown."""

from __future__ import annotations

from featurestore.tables import markdown_line
from fusion.report.tables import TextTable


def table_lines(table: TextTable) -> list[str]:
    """A caption and the lines of a table."""
    if not table.rows:
        return [table.empty]
    aligned = ["---" if k < table.text_columns else "---:" for k in range(len(table.columns))]
    heads = map(table.head, range(len(table.rows)))
    own = [(head, *row[1:]) for head, row in zip(heads, table.rows, strict=True)]
    rows = [table.columns, tuple(aligned), *own]
    return [
        plain_text(table.caption),
        "",
        *("| " + " | ".join(map(_cell, row)) + " |" for row in rows),
    ]


def _cell(text: str) -> str:
    return plain_text(text).replace("|", "\\|")


def plain_text(text: str) -> str:
    """One line without markup of its own."""
    return markdown_line(text)
