"""What is said of a public collection: its tables, its ids, its labels, and what gives them away.

Only columns that are named here are offered as predictors. Those that tell the diagnosis in other
words are withheld by name, and any other column of a file is reported as not understood: a mirror
that adds a column cannot smuggle the label in.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from featurestore.tables import Column

UNKNOWN = math.nan

CLOSE_UP, DERMOSCOPIC, TOTAL_BODY = "close-up", "dermoscopic", "total body tile"
"""Roles of images (`image_role`): how the picture was taken."""

Labels = Mapping[str, tuple[float, float]]
"""Of a class, in lower case: whether it is a melanoma, and whether it is malignant."""


@dataclasses.dataclass(frozen=True)
class TableFile:
    """One of the files of a collection.

    Attributes:
        role: Its name in the collection.
        columns: Columns by which it is recognised, in lower case.
        needed: Whether the collection cannot be read without it.
        exact: Whether it has these columns and no others.
    """

    role: str
    columns: frozenset[str]
    needed: bool = True
    exact: bool = False

    def fits(self, header: set[str]) -> bool:
        """Whether a file with this header, in lower case, is it."""
        return self.columns == header if self.exact else self.columns <= header


@dataclasses.dataclass(frozen=True)
class Collection:
    """A collection as it is downloaded.

    Attributes:
        name: Name in configurations.
        title: Name for people.
        tables: Its files; a file belongs to the first whose columns it has.
        rows: Makes one row an image out of the tables by role (text, NaN for missing, headers in
            lower case): `image_id`, `file` (id or name of the image file; further names in
            `other_file`), `lesion_id` and `patient_id` where they are known, `image_role`,
            `diagnosis` (and what a file tells beyond it in `told`), and the columns below.
        columns: Columns that are offered as predictors; `source_column` is the header in lower
            case, which may be a shell-style pattern of several.
        labels: The labels of each diagnosis; a diagnosis that is not in it is unknown.
        withheld: Patterns of headers that tell the diagnosis in other words.
        ignored: Patterns of headers that are ids, or say nothing of the lesion.
        spellings: By name of a column the level for a text of the file, in lower case.
        missing: Further texts that mean missing, by name of a column.
        licence: Licence of images whose row names none.
        attribution: Attribution of images whose row names none.
        notes: Sentences that every report prints.
    """

    name: str
    title: str
    tables: tuple[TableFile, ...]
    rows: Callable[[Mapping[str, pd.DataFrame]], pd.DataFrame]
    columns: tuple[Column, ...]
    labels: Labels
    withheld: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    spellings: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    licence: str = "unknown"
    attribution: str = "unknown"
    notes: tuple[str, ...] = ()

    def role_of(self, header: Iterable[str]) -> str:
        """Which of its files has this header; empty if none."""
        names = {name.strip().casefold() for name in header}
        return next((table.role for table in self.tables if table.fits(names)), "")

    def found_columns(self, header: Iterable[str]) -> list[Column]:
        """The predictors among some headers in lower case, one a header."""
        listed = sorted(header)
        found: dict[str, Column] = {}
        for column in self.columns:
            pattern = column.source_column
            for name in fnmatch.filter(listed, pattern):
                if name not in found and not matches(name, self.withheld):
                    own = pattern == name
                    found[name] = column if own else _of_pattern(column, name)
        return list(found.values())


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a header is one of some shell-style patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def table_file(role: str, columns: str, needed: bool = True, exact: bool = False) -> TableFile:
    """A file by the names of its columns, separated by blanks."""
    return TableFile(role, frozenset(columns.split()), needed, exact)


def one_hot(table: pd.DataFrame, classes: Iterable[str]) -> pd.Series:
    """The class whose column is 1; NaN where not exactly one is."""
    listed = [name for name in classes if name in table.columns]
    flags = table[listed].map(lambda text: text in ("1", "1.0", "True", "true"))
    return flags.idxmax(axis=1).where(flags.sum(axis=1) == 1).astype("str")


def with_names(table: pd.DataFrame, **names: str) -> pd.DataFrame:
    """Adds columns under new names out of those that the table has."""
    known = {new: table[old] for new, old in names.items() if old in table.columns}
    return table.assign(**known)


def _of_pattern(column: Column, name: str) -> Column:
    return dataclasses.replace(column, name=name, label=name, source_column=name)


AGE = Column("age", "numeric", "demographic", "Age", unit="years", source_column="age")
SEX = Column("sex", "nominal", "demographic", "Sex", levels=("female", "male"), source_column="sex")
SITE = Column("anatomical_site", "nominal", "lesion", "Anatomical site", source_column="site")
SKIN_TYPE = Column(
    "fitzpatrick",
    "ordinal",
    "demographic",
    "Fitzpatrick skin type",
    levels=("I", "II", "III", "IV", "V", "VI"),
    source_column="fitzpatrick",
)
SEX_SPELLINGS = {"f": "female", "m": "male", "w": "female"}
SKIN_TYPE_SPELLINGS = {
    f"{k}{ending}": level for k, level in enumerate(SKIN_TYPE.levels, 1) for ending in ("", ".0")
}


def called(column: Column, header: str) -> Column:
    """A column that a collection calls otherwise."""
    return dataclasses.replace(column, source_column=header)
