"""The data dictionary: what every patient column is, in words and in type."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

from featurestore.errors import DataError

Kind = Literal["numeric", "ordinal", "nominal", "binary", "expression"]
KINDS: tuple[str, ...] = get_args(Kind)
Measured = Literal["unknown", "diagnosis", "specimen", "follow_up"]
"""When a value becomes known; all but `unknown` in order of time."""
Level = Literal["", "patient", "lesion"]
"""Of what a value is measured; empty where observations are patients."""
TIMES: tuple[str, ...] = get_args(Measured)


@dataclasses.dataclass(frozen=True)
class Column:
    """One patient column.

    Attributes:
        name: Name in the patients table.
        kind: How the column is measured. `ordinal` and `nominal` columns hold strings out of
            `levels` (ordinal: in ascending order); `binary` columns hold 0 and 1; `numeric` and
            `expression` columns hold floats. Missing is always `NaN`/`None`.
        group: Group of the ablation: demographic, staging, histopathology, mutation, expression, …
        label: Name for people, as it is printed in tables.
        unit: Unit of a numeric column (mm, years, mutations/Mb, log2(x+1)), else empty.
        levels: Known levels, in ascending order where the kind is ordinal; a level that contains
            finer ones, or has no order, is placed by `featurestore.tables.places`.
        source_column: What the column was called in the file it came from.
        missing_tokens: Strings that were read as missing.
        leaks: Whether the column is known to reveal the chosen outcome; such a column is
            described in reports and exports but never given to a model.
        measured: When the value becomes known.
        known_on: Column with the day on which it became known, of each patient; empty where the
            data have none.
        level: Of what it is measured where observations are lesions: a value of a patient is
            repeated for each lesion of the patient.
    """

    name: str
    kind: Kind
    group: str
    label: str = ""
    unit: str = ""
    levels: tuple[str, ...] = ()
    source_column: str = ""
    missing_tokens: tuple[str, ...] = ()
    leaks: bool = False
    measured: Measured = "unknown"
    known_on: str = ""
    level: Level = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(
                f"column {self.name!r}: kind {self.kind!r} is not one of {', '.join(KINDS)}"
            )
        if self.measured not in TIMES:
            raise DataError(
                f"column {self.name!r}: measured {self.measured!r} is not one of {', '.join(TIMES)}"
            )
        if self.kind == "ordinal" and len(self.levels) < 2:
            raise DataError(
                f"column {self.name!r}: an ordinal column needs its levels in ascending order"
            )


def known_later(measured: str, than: str) -> bool:
    """Whether a value becomes known after a time; nothing is said of unknown times."""
    if "unknown" in (measured, than):
        return False
    return TIMES.index(measured) > TIMES.index(than)


class DataDictionary:
    """An ordered, name-unique collection of columns."""

    def __init__(self, columns: Iterable[Column] = ()) -> None:
        self._columns: dict[str, Column] = {}
        for column in columns:
            if column.name in self._columns:
                raise DataError(f"the data dictionary names column {column.name!r} twice")
            self._columns[column.name] = column

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns.values())

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataDictionary) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"DataDictionary({list(self._columns)})"

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return list(self._columns)

    @property
    def groups(self) -> list[str]:
        """Groups of the usable (not leaking) columns, in order of first appearance."""
        return list(dict.fromkeys(column.group for column in self.features()))

    def features(self) -> list[Column]:
        """Columns that a model may see: all but the leaking ones."""
        return [column for column in self if not column.leaks]

    def merged(self, other: DataDictionary) -> DataDictionary:
        """Returns both dictionaries as one.

        Raises:
            DataError: A column name stands in both.
        """
        return DataDictionary([*self, *other])

    def flagged(self, leaking: Iterable[str]) -> DataDictionary:
        """Returns a copy in which the columns named in `leaking` carry the leak flag."""
        names = set(leaking)
        return DataDictionary(
            dataclasses.replace(c, leaks=True) if c.name in names else c for c in self
        )

    def dated(self, days: Mapping[str, str]) -> DataDictionary:
        """Returns a copy whose columns name the column of their day.

        Args:
            days: By time of measurement the column with its day.
        """
        return DataDictionary(
            dataclasses.replace(c, known_on=days[c.measured]) if c.measured in days else c
            for c in self
        )

    def to_records(self) -> list[dict[str, object]]:
        """Returns plain records for JSON; one without a day, or a level, says nothing of it."""
        records = [dataclasses.asdict(column) for column in self]
        silent = ("known_on", "level")
        return [{k: v for k, v in r.items() if k not in silent or v} for r in records]

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, object]]) -> DataDictionary:
        """Rebuilds a dictionary from `to_records` output (lists become tuples)."""
        return cls(
            Column(**{k: tuple(v) if isinstance(v, list) else v for k, v in r.items()})  # type: ignore[arg-type]
            for r in records
        )
