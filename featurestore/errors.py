"""Errors for people: one line that says what is wrong, where, and what to do.

Every error that a user can cause derives from `MelafuseError`; the command line prints its
message without a traceback and ends with its `exit_code`. The codes are documented in
`docs/commands.md`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence


class MelafuseError(Exception):
    """Base of all errors that are reported as one line."""

    exit_code = 1


class ConfigError(MelafuseError):
    """The configuration file, an override or an option is wrong."""

    exit_code = 2


class AuditError(MelafuseError):
    """The audit found what invalidates the numbers, or was not made."""

    exit_code = 3


class DataError(MelafuseError):
    """A table, an image folder or an id in the user's data is wrong."""

    exit_code = 4


class StoreError(MelafuseError):
    """The feature store is damaged, incomplete or of another version."""

    exit_code = 5


class LeakageError(MelafuseError):
    """A number would have been computed on patients that a fit has seen."""

    exit_code = 6


class WeightsError(MelafuseError):
    """Pretrained weights cannot be found, reached or trusted."""

    exit_code = 7


_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with `***` for the passwords of URLs in it."""
    return _PASSWORD.sub(r"\g<before>***", text)


def one_line(error: object, longest: int = 200) -> str:
    """What a library says, in one line and cut: HDF5, Arrow and YAML write several."""
    return " ".join(str(error).split())[:longest]


def name_some(ids: Sequence[object], limit: int = 5) -> str:
    """Names the first few of `ids` for an error message, and counts the rest."""
    shown = ", ".join(str(i) for i in ids[:limit])
    rest = len(ids) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
