"""What an import script is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2

from featurestore.export.variables import LabelledTable, printable

TOLERANCE = "1e-8"


@dataclasses.dataclass(frozen=True)
class Check:
    """An area under the ROC curve that a program must find again in an exported table.

    Attributes:
        table: Name of the table.
        outcome: Name of the variable with 0 and 1.
        score: Name of the variable that ranks the rows.
        auroc: What melafuse found.
        what: Words for the area.
    """

    table: str
    outcome: str
    score: str
    auroc: float
    what: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a script imports.

    Attributes:
        title: Name of the study.
        watermark: Sentences that mark the data; empty where there are none.
        tables: The exported tables.
        suffixes: Endings of the formats that were written.
        checks: Areas to find again.
    """

    title: str
    watermark: str
    tables: tuple[LabelledTable, ...]
    suffixes: tuple[str, ...]
    checks: tuple[Check, ...]

    def header(self) -> Iterator[str]:
        """Lines of words for the head of a script."""
        yield f"{self.title}: imports the tables beside this file and checks them."
        if self.watermark:
            yield self.watermark

    def checks_of(self, table: LabelledTable) -> tuple[Check, ...]:
        """Checks on one table."""
        return tuple(check for check in self.checks if check.table == table.name)


@dataclasses.dataclass(frozen=True)
class Script:
    """A script for one program: a template of its name, and what the template calls.

    Attributes:
        filename: Name of the file; its template is called the same with `.jinja` behind.
        reads: Endings of files that it can import, the best first.
        filters: What the template may call, by name; `quoted` makes a string of the program.
    """

    filename: str
    reads: tuple[str, ...]
    filters: Mapping[str, Callable[[Any], Any]]

    def text(self, plan: Plan, suffix: str) -> str:
        """The script, importing files with one ending."""
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("featurestore.export.scripts", "templates"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {"printable": printable, "repr": repr, **self.filters}
        template = environment.get_template(f"{self.filename}.jinja")
        return template.render(plan=plan, suffix=suffix, tolerance=TOLERANCE)
