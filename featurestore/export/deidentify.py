"""Takes out of tables what names a person: ids, high ages, dates; and writes down what it did.

Ids become keyed pseudonyms (HMAC-SHA256, RFC 2104), so the same key gives the same pseudonym in
every export, and nobody without the key can compute one from a known id. Ages above 89 become 90,
and all dates of a patient move by the same number of days, so that intervals survive (both after
the Safe Harbor method of the HIPAA Privacy Rule, 45 CFR 164.514(b)(2), which by itself wants dates
removed; see docs/exports.md for what is left to do). Rows stand in the order of the pseudonyms, for
whoever has the list of ids could read them off any other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from featurestore.errors import ConfigError, DataError
from featurestore.export.base import ColumnNote, ExportTable
from featurestore.export.ordering import in_order_of_pseudonyms

Step = Literal["ids", "ages", "dates"]
STEPS: tuple[str, ...] = get_args(Step)
REPORT_COLUMNS = ("table", "column", "done", "cells")

HIGHEST_AGE, TOP_AGE = 89, 90
MIN_KEY_BYTES, MAX_KEY_BYTES = 16, 4096
MAX_SHIFT_DAYS = 364
_PER_YEAR = {"": 1.0, "years": 1.0, "year": 1.0, "months": 12.0, "days": 365.25}
_AGE_NAME = re.compile(r"(?:^|[^a-z])age(?:[^a-z]|$)")
_ID_LETTERS = {"patient": "P", "image": "I", "lesion": "L", "digest": "H"}
_DIGITS = 16
_SPACE = re.compile(r"\s")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"([(\[,;:]*)(\S+?)([)\],.;:]*)(?!\S)")
_TELLING = re.compile(r"[\d/\\]")
_HIDDEN = "[…]"
_CERTAIN = 20  # so many different ids in one column are no coincidence
_OF_IDS = "pseudonyms: most of its texts are ids"
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclasses.dataclass(frozen=True)
class Key:
    """A secret that pseudonyms and shifts are made with."""

    secret: bytes = dataclasses.field(repr=False)

    @classmethod
    def read(cls, path: Path | None) -> Key:
        """Reads a key file.

        Raises:
            ConfigError: There is no key, or it is too short to be one.
        """
        advice = "make one with `(umask 077; head -c 32 /dev/urandom > KEY)`, and keep it secret"
        if path is None:
            raise ConfigError(f"de-identification needs a key: --key FILE; {advice}")
        try:
            with path.open("rb") as file:
                secret = file.read(MAX_KEY_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"cannot read the key {path}: {error.strerror}; {advice}") from None
        if not MIN_KEY_BYTES <= len(secret) <= MAX_KEY_BYTES:
            raise ConfigError(
                f"the key {path} has {len(secret)} bytes; it needs {MIN_KEY_BYTES} to "
                f"{MAX_KEY_BYTES:,}; {advice}"
            )
        return cls(secret)

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart without saying anything about them."""
        return self._digest("fingerprint", "").hex()[:8]

    def pseudonym(self, what: str, original: str) -> str:
        """Pseudonym of an id; `what` is patient, image, lesion or digest."""
        return _ID_LETTERS[what] + self._digest(what, original).hex()[:_DIGITS]

    def shift(self, patient: str) -> int:
        """Days by which the dates of a patient move: -364 to 364, never 0."""
        number = int.from_bytes(self._digest("dates", patient)[:8], "big") % (2 * MAX_SHIFT_DAYS)
        return number - MAX_SHIFT_DAYS if number < MAX_SHIFT_DAYS else number - MAX_SHIFT_DAYS + 1

    def _digest(self, what: str, text: str) -> bytes:
        return hmac.new(self.secret, f"{what}\0{text}".encode(), hashlib.sha256).digest()


@dataclasses.dataclass(frozen=True)
class Deidentified:
    """Tables without what names a person.

    Attributes:
        tables: The tables.
        report: One row a column on what was done to it (`REPORT_COLUMNS`), after one on the key;
            texts that were left as they are have a row too.
        sentence: Does to a sentence what was done to the reasons of exclusions.
    """

    tables: tuple[ExportTable, ...]
    report: pd.DataFrame
    sentence: Callable[[str], str]


def deidentify(tables: Sequence[ExportTable], key: Key, steps: Collection[str]) -> Deidentified:
    """Takes ids, high ages and dates out of tables.

    Args:
        tables: All tables of an export together, so that an id gets one pseudonym everywhere.
        key: The secret.
        steps: Any of `STEPS`.

    Raises:
        DataError: Two ids got the same pseudonym.
    """
    known = _known_ids(tables, key)
    patients = {text for table in tables for column, note in table.notes.items()
                if note.role == "patient" and column in table.frame
                for text in _texts(table.frame[column])}  # fmt: skip
    work = _Work(key, frozenset(steps), known, len(patients))
    made = tuple(work.table(table) for table in tables)
    used = f"{', '.join(s for s in STEPS if s in steps)} with the key {key.fingerprint}"
    report = pd.DataFrame([("", "", used, 0), *work.report], columns=list(REPORT_COLUMNS))
    return Deidentified(made, report, work.sentence if "ids" in steps else str)


def _known_ids(tables: Sequence[ExportTable], key: Key) -> dict[str, str]:
    """Pseudonym of every id that any table names."""
    ids: dict[str, str] = {}
    for what in ("image", "lesion", "patient"):  # a text that is several counts as the last
        for table in tables:
            for column, note in table.notes.items():
                if note.role == what and column in table.frame:
                    ids |= dict.fromkeys(_texts(table.frame[column]), what)
    for table in tables:
        for column, note in table.notes.items():
            if note.role == "any_id" and column in table.frame:
                for text, what in _entities(table.frame, column):
                    ids.setdefault(text, what)
    made = {original: key.pseudonym(what, original) for original, what in ids.items()}
    if len(set(made.values())) < len(made):
        raise DataError("two ids have the same pseudonym; use another key")
    return made


def _entities(frame: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    """Ids of a table of all sorts of things, each with what it is: an image, or a patient."""
    entities = frame["entity"] if "entity" in frame else pd.Series("", frame.index)
    kinds = entities.where(entities.isin(["image", "lesion"]), "patient")
    return [(text, what) for what in ("image", "lesion", "patient")
            for text in _texts(frame.loc[kinds == what, column])]  # fmt: skip


def _texts(values: pd.Series) -> list[str]:
    return [str(v) for v in values.dropna().unique() if str(v)]


class _Work:
    """One pass over all tables."""

    def __init__(
        self, key: Key, steps: frozenset[str], known: Mapping[str, str], patients: int
    ) -> None:
        self._key, self._steps, self._known = key, steps, known
        self.report: list[tuple[str, str, str, int]] = []
        self._pseudonyms = frozenset(known.values())
        self._patient_count = max(1, patients)
        spaced = sorted((text for text in known if _SPACE.search(text)), key=len, reverse=True)
        self._spaced = re.compile("|".join(map(re.escape, spaced)) or r"(?!)")

    def table(self, table: ExportTable) -> ExportTable:
        frame = table.frame.copy()
        patients = self._patients(table)
        notes, columns = dict(table.notes), dict(table.columns)
        for name in map(str, table.frame.columns):
            note = notes.get(name)
            values = table.frame[name]
            made, done = self._column(values, name, note, table, patients)
            frame[name] = made
            changed = values.notna() & (
                made.isna() | (made.astype(object) != values.astype(object))
            )
            self.report.append((table.name, name, done, int(changed.sum())))
            if note is not None and done.startswith("ages"):
                notes[name] = dataclasses.replace(note, note=f"{note.note} {done}".strip())
            if name in columns and done == _OF_IDS:  # what it may hold is said in the codebook
                levels = tuple(self._whole(level) for level in columns[name].levels)
                columns[name] = dataclasses.replace(columns[name], levels=levels)
        self.report = [row for row in self.report if row[2]]
        made_table = dataclasses.replace(table, frame=frame, notes=notes, columns=columns)
        return in_order_of_pseudonyms(made_table) if "ids" in self._steps else made_table

    def _patients(self, table: ExportTable) -> pd.Series | None:
        names = [c for c, n in table.notes.items() if n.role == "patient" and c in table.frame]
        return table.frame[names[0]] if names else None

    def _column(
        self,
        values: pd.Series,
        name: str,
        note: ColumnNote | None,
        table: ExportTable,
        patients: pd.Series | None,
    ) -> tuple[pd.Series, str]:
        role = note.role if note is not None else ""
        if "ids" in self._steps and role in ("patient", "image", "lesion", "any_id"):
            return values.map(self._pseudonym, na_action="ignore").astype("str"), "pseudonyms"
        if "ids" in self._steps and role == "digest":
            hidden = values.map(lambda v: self._key.pseudonym("digest", str(v)), na_action="ignore")
            return hidden.astype("str"), "pseudonyms of a digest"
        if "ids" in self._steps and role == "file_size":
            return _two_digits(values), "sizes of files rounded to two digits"
        if "ids" in self._steps and role == "text":
            return values.map(self.sentence, na_action="ignore").astype(
                "str"
            ), "ids and values hidden"
        if "ages" in self._steps and _is_age(name, values, table):
            return self._ages(values, _unit(name, table))
        if "dates" in self._steps and _is_date(values):
            return self._dates(values, patients)
        if _is_text(values):
            coded = name in table.columns or (note is not None and bool(note.levels))
            return self._text(values, coded)
        return values, ""

    def _pseudonym(self, text: str) -> str:
        return self._known.get(str(text), "") if str(text) else ""

    def sentence(self, text: str) -> str:
        """A sentence with pseudonyms for ids, and without quoted values, numbers and paths."""
        text = self._spaced.sub(lambda found: self._known[found.group()], text)
        text = _QUOTED.sub(lambda found: self._known.get(found.group()[1:-1], _HIDDEN), text)
        return _WORD.sub(self._bare_word, text)

    def _bare_word(self, found: re.Match[str]) -> str:
        before, word, after = found.groups()
        if word in self._pseudonyms:
            return found.group()
        if word in self._known:
            return f"{before}{self._known[word]}{after}"
        return f"{before}{_HIDDEN}{after}" if _TELLING.search(word) else found.group()

    def _ages(self, values: pd.Series, unit: str) -> tuple[pd.Series, str]:
        scale = _PER_YEAR.get(unit, 1.0)
        top = TOP_AGE * scale
        numbers = pd.to_numeric(values, errors="coerce")
        high = numbers > HIGHEST_AGE * scale
        made = values.astype(object).mask(high, str(int(top)) if _is_text(values) else top)
        return made.astype(values.dtype), f"ages above {HIGHEST_AGE * scale:g} are {top:g}"

    def _dates(self, values: pd.Series, patients: pd.Series | None) -> tuple[pd.Series, str]:
        days = pd.to_datetime(values, errors="coerce").astype("datetime64[s]")
        if patients is None:
            return days.mask(
                days.notna()
            ), "dates left out: the row names no patient to shift them by"
        shifts = patients.map(lambda p: self._key.shift(str(p)), na_action="ignore")
        moved = days + pd.to_timedelta(shifts.astype(float), unit="D").astype("timedelta64[s]")
        return moved, "dates moved, each patient by a number of days of its own"

    def _text(self, values: pd.Series, coded: bool) -> tuple[pd.Series, str]:
        """Texts of a column that is said to hold no ids.

        A code may happen to be an id (patients 1 to 120, and a column coded 1, 2, 3), so codes are
        left alone; so are numbers among other texts. A column most of whose texts are different
        ids holds ids, whatever is said of it.
        """
        if "ids" not in self._steps:
            return values, ""
        texts = set(_texts(values))
        ids = texts & self._known.keys()
        if len(ids) >= min(_CERTAIN, 0.5 * self._patient_count) and 2 * len(ids) > len(texts):
            return values.map(self._whole, na_action="ignore").astype("str"), _OF_IDS
        if coded:
            return values, "codes left as they are"
        made = values.map(self._free, na_action="ignore")
        if (made.dropna() != values.dropna()).any():
            return made.astype("str"), "pseudonyms where a text is an id"
        return values, "text left as it is"

    def _whole(self, text: str) -> str:
        return self._known.get(str(text), str(text))

    def _free(self, text: str) -> str:
        return str(text) if str(text).isdigit() else self._whole(text)


def _two_digits(values: pd.Series) -> pd.Series:
    """Numbers rounded to two significant digits: a file is known by its exact size."""
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    return numbers.map(lambda v: float(f"{v:.1e}"), na_action="ignore")


def _is_text(values: pd.Series) -> bool:
    dtype = values.dtype
    return not (
        pd.api.types.is_numeric_dtype(dtype)
        or pd.api.types.is_bool_dtype(dtype)
        or pd.api.types.is_datetime64_any_dtype(dtype)
    )


def _is_age(name: str, values: pd.Series, table: ExportTable) -> bool:
    """Whether a column holds ages: its name or label says so, and it holds numbers."""
    if name in table.notes and table.notes[name].role == "age":
        return True
    label = table.columns[name].label if name in table.columns else ""
    if not (_AGE_NAME.search(name.lower()) or _AGE_NAME.search(label.lower())):
        return False
    known = values.dropna()
    return bool(pd.to_numeric(known, errors="coerce").notna().mean() > 0.5) if len(known) else False


def _unit(name: str, table: ExportTable) -> str:
    return table.columns[name].unit if name in table.columns else table.notes[name].unit


def _is_date(values: pd.Series) -> bool:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return True
    if not _is_text(values):
        return False
    known = values.dropna().astype("str")
    return bool(len(known) and known.str.fullmatch(_ISO_DATE).all())
