"""What an outcome is: definition, unit, as-of time, who is studied, and what gives it away."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.outcomes.expressions import parse
from featurestore.outcomes.target import Kind
from featurestore.tables import BINARY_TEXTS, DataDictionary, Measured

Unit = Literal["patient", "specimen", "lesion"]
NO_COLUMNS = DataDictionary([])
KNOWN_REASON = "reason"
"""Column that says why an outcome is not known."""


@dataclasses.dataclass(frozen=True)
class NamedTexts:
    """Texts that somebody named as values of a column: none of them means missing there.

    Attributes:
        texts: The texts.
        is_closed: Whether the column can hold nothing else, so that words such as `unknown` are no
            values.
    """

    texts: frozenset[str]
    is_closed: bool = False

    def merged(self, other: NamedTexts) -> NamedTexts:
        """What both name."""
        return NamedTexts(self.texts | other.texts, self.is_closed or other.is_closed)


class Rule(Protocol):
    """Turns columns into the label of each row."""

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Texts that it names, by column."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it looks at."""
        ...

    @property
    def reveals(self) -> tuple[str, ...]:
        """Patterns of further columns that reveal any such outcome."""
        ...

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Label of each row: 0.0, 1.0 or NaN (unknown), with the table's index.

        Raises:
            DataError: A value means nothing to the rule of outcome `name`.
        """
        ...

    def known(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.DataFrame:
        """What is known of each row: the `OUTCOME_COLUMNS` of its kind, and `KNOWN_REASON`.

        Raises:
            DataError: As `labels`.
        """
        ...

    def by_patient(self, rows: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
        """One row a patient (index) out of what is known of images, whose patients are `ids`."""
        ...


class LabelRule:
    """What rules have in common whose outcome is there or not."""

    @property
    def reveals(self) -> tuple[str, ...]:
        """Nothing in general."""
        return ()

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Label of each row; see `Rule`."""
        raise NotImplementedError

    def known(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.DataFrame:
        """The label; why one is missing, sources say."""
        labels = self.labels(table, dictionary, name)
        return pd.DataFrame({"outcome": labels, KNOWN_REASON: ""})

    def by_patient(self, rows: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
        """A patient has the outcome if any image has it."""
        return rows.groupby(ids).max()


@dataclasses.dataclass(frozen=True)
class ValueRule(LabelRule):
    """Values of one column, compared as text without case.

    Attributes:
        column: Label column.
        positive: Values that count as an event.
        negative: Values that count as no event; empty means every other known value.
        others: What a known value means that is neither: an error, or unknown.
    """

    column: str
    positive: tuple[str, ...] = ("1",)
    negative: tuple[str, ...] = ("0",)
    others: Literal["error", "unknown"] = "error"

    @property
    def columns(self) -> tuple[str, ...]:
        """The label column."""
        return (self.column,)

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Texts of the label column."""
        texts = frozenset((*self.positive, *self.negative))
        return {self.column: NamedTexts(texts, is_closed=bool(self.negative))}

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Label of each row.

        Raises:
            DataError: A value is neither positive nor negative.
        """
        text = table[self.column].map(_as_text)
        result = pd.Series(np.nan, index=table.index, dtype=float)
        result[_means(text, self.positive, self.negative)] = 1.0
        rest = text.notna() & result.isna()
        if not self.negative:
            result[rest] = 0.0
            return result
        negative = _means(text, self.negative, self.positive)
        strange = sorted(set(text[rest & ~negative]))
        if strange and self.others == "error":
            raise DataError(
                f"outcome {name!r}: column {self.column!r} holds values that are neither "
                f"positive ({', '.join(self.positive)}) nor negative "
                f"({', '.join(self.negative)}): {name_some(strange)}"
            )
        result[rest & negative] = 0.0
        return result


@dataclasses.dataclass(frozen=True)
class ExpressionRule(LabelRule):
    """An expression over columns (`featurestore.outcomes.expressions`); unknown stays unknown.

    Attributes:
        text: The expression.
    """

    text: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the expression names."""
        return parse(self.text).columns

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Words of the expression; each may be meant for any of its columns."""
        parsed = parse(self.text)
        return {column: NamedTexts(parsed.words) for column in parsed.columns}

    def labels(self, table: pd.DataFrame, dictionary: DataDictionary, name: str) -> pd.Series:
        """Label of each row.

        Raises:
            DataError: The expression does not fit the columns.
        """
        return _evaluated(self.text, table, dictionary).astype("Float64").astype(float)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An outcome.

    Attributes:
        name: Name in configs and reports.
        definition: One sentence that a reader can check.
        unit: What one observation is.
        as_of: The time up to which a predictor may have been measured, in words.
        rule: Which values of which columns are an event: of the images table if all its columns
            stand there (a patient is positive if any image is), else of the patients table.
        deny: Shell-style patterns of columns that reveal the outcome; models never see them.
        caveats: Sentences that every report prints.
        as_of_time: The same as `as_of` for the machine: columns that become known later are
            withheld.
        among: Expression over patient columns that says who is studied; empty is everyone.
        kind: Kind of the endpoint (`featurestore.outcomes.target`).
        horizons: Of times to an event: the days since time zero by which risks are predicted.
        time_zero: From when its times are counted, in words; empty where there are none.
        followed: Of an outcome without times: column with the days of follow-up, so that reports
            can say how many without the outcome were hardly followed.
    """

    name: str
    definition: str
    unit: Unit
    as_of: str
    rule: Rule
    deny: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    as_of_time: Measured = "unknown"
    among: str = ""
    kind: Kind = "binary"
    horizons: tuple[float, ...] = ()
    time_zero: str = ""
    followed: str = ""

    def denied(self, columns: Iterable[str]) -> list[str]:
        """Columns that must not be used as predictors: the labels themselves and the deny-list."""
        named, general = (*self.rule.columns, *self.deny), self.rule.reveals
        return [
            c
            for c in columns
            if any(fnmatch.fnmatchcase(c, p) for p in named)
            or any(fnmatch.fnmatchcase(c.casefold(), p) for p in general)
        ]

    @property
    def named(self) -> dict[str, NamedTexts]:
        """Texts that it names as values, by column."""
        named = dict(self.rule.named)
        if self.among:
            for column, texts in ExpressionRule(self.among).named.items():
                named[column] = named[column].merged(texts) if column in named else texts
        return named

    def of_images(self, images: pd.DataFrame) -> bool:
        """Whether each image has a label of its own."""
        return set(self.rule.columns) <= set(images.columns)

    def labels(
        self,
        patients: pd.DataFrame,
        images: pd.DataFrame,
        dictionary: DataDictionary = NO_COLUMNS,
    ) -> pd.Series:
        """Computes the outcome of every patient.

        Args:
            patients: Patients table with `patient_id`.
            images: Images table with `patient_id`.
            dictionary: Knows the order of ordinal columns.

        Returns:
            Series of 0.0, 1.0 (2.0 where a competing event came first) and NaN (unknown), indexed
            by patient id.

        Raises:
            DataError: A label column is in neither table, or a value means nothing.
        """
        return self.known(patients, images, dictionary)["outcome"]

    def known(
        self,
        patients: pd.DataFrame,
        images: pd.DataFrame,
        dictionary: DataDictionary = NO_COLUMNS,
    ) -> pd.DataFrame:
        """What is known of the outcome of every patient.

        Args:
            patients: Patients table with `patient_id`.
            images: Images table with `patient_id`.
            dictionary: Knows the order of ordinal columns.

        Returns:
            `OUTCOME_COLUMNS` of its kind, missing where unknown, and `KNOWN_REASON`, which may say
            why; indexed by patient id.

        Raises:
            DataError: A label column is in neither table, or a value means nothing.
        """
        if self.of_images(images):
            rows = self.rule.known(images, dictionary, self.name)
            return self.rule.by_patient(rows, images["patient_id"].to_numpy())
        absent = [c for c in self.rule.columns if c not in patients.columns]
        if absent:
            have = [c for c in (*images.columns, *patients.columns) if c != "patient_id"]
            raise DataError(
                f"outcome {self.name!r} needs the column {absent[0]!r}; "
                f"the data has {name_some(have, 12)}"
            )
        rows = self.rule.known(patients, dictionary, self.name)
        return rows.set_axis(patients["patient_id"].to_numpy())

    def eligible(
        self, patients: pd.DataFrame, dictionary: DataDictionary = NO_COLUMNS
    ) -> pd.Series:
        """Who is studied; of whom it is not known is not.

        Args:
            patients: Patients table with `patient_id`.
            dictionary: Knows the order of ordinal columns.

        Returns:
            Boolean series, indexed by patient id.

        Raises:
            DataError: The expression does not fit the columns.
        """
        ids = patients["patient_id"].to_numpy()
        if not self.among:
            return pd.Series(True, index=ids)
        return _evaluated(self.among, patients, dictionary).fillna(False).astype(bool).set_axis(ids)


def _evaluated(text: str, table: pd.DataFrame, dictionary: DataDictionary) -> pd.Series:
    levels = {c.name: c.levels for c in dictionary if c.kind == "ordinal"}
    return parse(text).evaluate(table, levels)


def _means(texts: pd.Series, wanted: tuple[str, ...], others: tuple[str, ...]) -> pd.Series:
    """Where a text is one of those that are wanted, or says yes or no as one of them does.

    A text that itself stands among the others is one of those.
    """
    exact = {text.strip().casefold() for text in wanted}
    opposite = {text.strip().casefold() for text in others}
    truths = {BINARY_TEXTS[text] for text in exact if text in BINARY_TEXTS}
    truths -= {BINARY_TEXTS[text] for text in opposite if text in BINARY_TEXTS}
    alike = {text for text, truth in BINARY_TEXTS.items() if truth in truths}
    return texts.isin(exact | (alike - opposite))


def _as_text(value: object) -> str | None:
    """Text of a label for comparison; whole floats lose their `.0`, missing becomes None."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, int | float | np.number) and float(value).is_integer():
        return str(int(value))
    text = str(value).strip().casefold()
    return text or None
