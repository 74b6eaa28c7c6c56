"""What is scored: one patient's values and images, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featurestore.errors import DataError
from featurestore.images import read_image_bytes
from featurestore.tables import BINARY_TEXTS, GUESSED_TOKENS, MISSING_TOKENS, places
from featurestore.tables.numbers import read_number
from fusion.bundle.record import BundleRecord, InputColumn, TimesOutcomeRecord

MAX_TEXT = 200
"""Longest level or patient id."""

MAX_IMAGES = 100
"""Images of one patient."""

MAX_FILE_BYTES = 200_000_000

ENTRY_DAYS = "entry_days"
"""Value of times to an event beside those of columns: see `Case.entry`."""

Value = float | str
"""A number, or a level."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """Something about an input that makes a score less to be trusted.

    Attributes:
        kind: `out_of_range`, `unknown_level` or `out_of_distribution`.
        what: Column, or image and encoder.
        text: One sentence.
    """

    kind: str
    what: str
    text: str


@dataclasses.dataclass(frozen=True)
class Picture:
    """One image of a patient.

    Attributes:
        name: For people; never opened.
        source: The file, or its bytes.
        role: How it was taken, where the bundle tells roles apart.
    """

    name: str
    source: Path | bytes
    role: str = ""

    def read(self) -> bytes:
        """Bytes of the file.

        Raises:
            UnreadableImage: It cannot be read, or is larger than any picture.
        """
        if isinstance(self.source, bytes):
            return self.source
        return read_image_bytes(self.source, MAX_FILE_BYTES)


@dataclasses.dataclass(frozen=True)
class Case:
    """One patient to score.

    Attributes:
        patient_id: Only given back.
        values: Checked values by column; columns without a value are not in it.
        pictures: Images of the patient.
        flags: What is unusual about the values.
        entry: Of times to an event: days since time zero at which the patient is free of any
            event, from which risks are counted.
    """

    patient_id: str
    values: Mapping[str, Value]
    pictures: tuple[Picture, ...] = ()
    flags: tuple[Flag, ...] = ()
    entry: float = 0.0


def check_case(
    record: BundleRecord,
    values: Mapping[str, Any],
    pictures: tuple[Picture, ...] = (),
    patient_id: str = "",
) -> Case:
    """Checks one patient's values against the inputs of a bundle.

    Args:
        record: What the bundle takes.
        values: By name of column: numbers, levels, yes or no; None or a usual word for missing.
        pictures: Images of the patient.
        patient_id: Only given back.

    Raises:
        DataError: A name is unknown, a value is none that its column can hold, there are too many
            images, an image does not say its role, or nothing was given at all.
    """
    columns = {column.name: column for column in record.inputs}
    entry, values = _entry(record, values)
    unknown = [name for name in values if name not in columns]
    if unknown:
        shown = ascii(str(unknown[0]))[:MAX_TEXT]
        near = difflib.get_close_matches(str(unknown[0]), columns, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it takes {_some(columns)}"
        raise DataError(f"the bundle takes no value named {shown}; {hint}")
    if len(pictures) > MAX_IMAGES:
        raise DataError(
            f"{len(pictures)} images of one {record.noun.one}; at most {MAX_IMAGES} are taken"
        )
    require_roles(record, pictures)
    if len(patient_id) > MAX_TEXT:
        raise DataError(f"a patient id is longer than {MAX_TEXT} characters")
    checked: dict[str, Value] = {}
    flags: list[Flag] = []
    for name, column in columns.items():
        value = _read(column, values.get(name))
        if value is None:
            continue
        checked[name] = value
        flags += _flags(column, value)
    if not checked and not pictures:
        raise DataError("nothing was given: neither an image nor any value")
    return Case(patient_id, checked, pictures, tuple(flags), entry)


def roles_of_each(images: int, roles: Sequence[str]) -> Sequence[str]:
    """Role of each of some images: those that are said, one for all of them, or none.

    Raises:
        DataError: There are neither as many as images, nor one, nor none.
    """
    if len(roles) < 2:
        return [*roles] * images if roles else [""] * images
    if len(roles) != images:
        raise DataError(f"{len(roles)} roles of {images} images: say one for each, or one for all")
    return roles


def require_roles(record: BundleRecord, pictures: Sequence[Picture]) -> None:
    """Refuses images whose role is not one that the bundle looks at.

    Raises:
        DataError: So it is.
    """
    roles = record.image.roles
    for picture in pictures:
        if not roles and picture.role:
            raise DataError(
                f"image {picture.name}: the bundle does not tell roles of images apart; leave "
                f"{_shown(picture.role)} out"
            )
        if roles and picture.role not in roles:
            said = f"{_shown(picture.role)} is none of them" if picture.role else "none is said"
            raise DataError(
                f"image {picture.name}: the bundle takes images by role ({', '.join(roles)}), and "
                f"{said}; say it in a column image_role, or with --role"
            )


def asked_beside(record: BundleRecord) -> tuple[str, ...]:
    """Names of values that no model looks at: of times to an event, since when one is followed."""
    taken = {column.name for column in record.inputs}
    known = isinstance(record.outcome, TimesOutcomeRecord)
    return (ENTRY_DAYS,) if known and ENTRY_DAYS not in taken else ()


def _entry(record: BundleRecord, values: Mapping[str, Any]) -> tuple[float, Mapping[str, Any]]:
    """Days until which the patient is free of any event, and the other values."""
    if ENTRY_DAYS not in asked_beside(record) or ENTRY_DAYS not in values:
        return 0.0, values
    assert isinstance(record.outcome, TimesOutcomeRecord)
    until = record.outcome.known_until
    column = InputColumn(
        name=ENTRY_DAYS,
        kind="numeric",
        group="",
        unit="days",
        allowed_range=(0.0, until),
        missing_share=0.0,
        modality="",
    )
    rest = {name: value for name, value in values.items() if name != ENTRY_DAYS}
    return float(_read(column, values[ENTRY_DAYS]) or 0.0), rest


def _read(column: InputColumn, value: Any) -> Value | None:
    """The value as the column holds it; None where it is missing."""
    if value is None or (isinstance(value, str) and _is_missing(column, value)):
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    return _level(column, value) if column.is_text else _number(column, value)


def _is_missing(column: InputColumn, text: str) -> bool:
    """Whether a text means missing: by the words of every table, and not if it is a level."""
    said = text.strip().lower()
    levels = {level.lower() for level in (*column.levels, *column.training_levels)}
    return said not in levels and said in (
        *MISSING_TOKENS,
        *GUESSED_TOKENS,
        *(token.lower() for token in column.missing_tokens),
    )


def _number(column: InputColumn, value: Any) -> float:
    number: float | None = None
    if column.kind == "binary" and isinstance(value, str | bool):
        number = BINARY_TEXTS.get(str(value).strip().lower())
    elif isinstance(value, bool):
        number = None
    elif isinstance(value, str):
        number = read_number(value)
    elif isinstance(value, int | float):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or not math.isfinite(number):
        wanted = "yes or no (1 or 0)" if column.kind == "binary" else "a number"
        raise DataError(f"{column.name}: {_shown(value)} is not {wanted}{_unit(column)}")
    if column.kind == "binary" and number not in (0.0, 1.0):
        raise DataError(f"{column.name}: {_shown(value)} is not yes or no (1 or 0)")
    allowed = column.allowed_range
    if allowed is not None and not allowed[0] <= number <= allowed[1]:
        raise DataError(
            f"{column.name}: {number:g}{_unit(column)} cannot be meant; values from "
            f"{allowed[0]:g} to {allowed[1]:g} are taken"
        )
    return number


def _level(column: InputColumn, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{column.name}: {_shown(value)} is not a level, which is text")
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    text = text.strip()
    if len(text) > MAX_TEXT:
        raise DataError(f"{column.name}: a level is longer than {MAX_TEXT} characters")
    spelling = {level.casefold(): level for level in (*column.levels, *column.training_levels)}
    return spelling.get(text.casefold(), text)


def _flags(column: InputColumn, value: Value) -> list[Flag]:
    name = column.name
    if column.is_text:
        if value in column.training_levels:
            return []
        seen = ", ".join(column.training_levels) or "none"
        placed = column.kind == "ordinal" and value in places(column.levels)
        then = "its place among the levels is used" if placed else "it counts as missing"
        text = f"{name}: no training patient had {value!r} (they had {seen}); {then}."
        return [Flag("unknown_level", name, text)]
    known = column.training_range
    if known is None or known[0] <= float(value) <= known[1] or column.kind == "binary":
        return []
    text = (
        f"{name}: {value:g}{_unit(column)} lies outside the {known[0]:g} to {known[1]:g} of the "
        f"training patients."
    )
    return [Flag("out_of_range", name, text)]


def _unit(column: InputColumn) -> str:
    return f" {column.unit}" if column.unit else ""


def _shown(value: Any) -> str:
    text = (
        ascii(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _some(columns: Mapping[str, InputColumn]) -> str:
    names = list(columns)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
