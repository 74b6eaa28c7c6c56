"""Says why a file is not what a source needs, what it is instead, and what to do."""

from __future__ import annotations

from pathlib import Path

from featurestore.errors import DataError, name_some
from featurestore.sources.recognition import FORMATS, MAIN_ROLES, guess_head
from featurestore.tables import TableHead, read_head


def explain_mismatch(path: Path, wanted: str) -> str:
    """Says why a file is not what a source needs, what it looks like, and what to do.

    Args:
        path: The file.
        wanted: Source kind, or source kind and role: `cbioportal`, `xena.expression`.

    Returns:
        One line for a DataError.
    """
    kind, _, named = wanted.partition(".")
    role = named or MAIN_ROLES[kind]
    asked = [known.name for known in FORMATS if (known.kind, known.role) == (kind, role)]
    need = asked[0] if asked else f"a file for {wanted}"
    try:
        head = read_head(path)
    except DataError as error:
        return f"{error} (expected {need})"
    guess = guess_head(head)
    if guess is None:
        return f"{path} is not {need}, and no other known format either; {_described(head)}"
    if (guess.kind, guess.role) == (kind, role):
        return (
            f"{path} looks like {guess.name} ({guess.why}), but columns that are needed are "
            f"missing; {_described(head)}"
        )
    if guess.kind == kind:
        return f"{path} is not {need}; it is {guess.name}, which belongs under `{guess.role}`"
    if not guess.is_read:
        return f"{path} is not {need}; it looks like {guess.name} ({guess.why}), which is not read"
    if guess.kind == "table":
        return (
            f"{path} is not {need}; it has none of the columns of a format that is known "
            f"({_described(head)}); describe them with source kind: table"
        )
    return f"{path} is not {need}; it looks like {guess.name} (source kind: {guess.kind})"


def _described(head: TableHead) -> str:
    columns = [name[:40] or "(no name)" for name in head.header]
    if len(columns) < 2:
        return f"its first line is {columns[0]!r}" if columns else "it has no header"
    return f"its columns: {name_some(columns, 8)}"
