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
    """A number that a program must find again in an exported table.

    It is an area under the ROC curve or, of a time to an event, Harrell's C.

    Attributes:
        table: Name of the table.
        outcome: Name of the variable with 0 and 1, or with the code of what ended the time.
        score: Name of the variable that ranks the rows.
        value: What melafuse found.
        what: Words for it.
    """

    table: str
    outcome: str
    score: str
    value: float
    what: str


@dataclasses.dataclass(frozen=True)
class Survival:
    """Variables of a table that together are a time to an event.

    Attributes:
        table: Name of the table.
        outcome: Name of the variable with the code of what ended the time: 1 is the event.
        time: Name of the variable with the time.
        entry: Name of the variable with the time from which a row was under observation.
    """

    table: str
    outcome: str
    time: str
    entry: str


@dataclasses.dataclass(frozen=True)
class Clusters:
    """Rows of a table that are not independent of one another.

    Attributes:
        table: Name of the table.
        column: Name of the variable that names the cluster.
        n: Clusters.
        what: Why, in words.
    """

    table: str
    column: str
    n: int
    what: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a script imports.

    Attributes:
        title: Name of the study.
        watermark: Sentences that mark the data; empty where there are none.
        tables: The exported tables.
        suffixes: Endings of the formats that were written.
        checks: Numbers to find again.
        survival: Times to an event; checks on tables that have one are of concordance.
        clusters: Clusters to find again, by which standard errors must be clustered.
    """

    title: str
    watermark: str
    tables: tuple[LabelledTable, ...]
    suffixes: tuple[str, ...]
    checks: tuple[Check, ...]
    survival: tuple[Survival, ...] = ()
    clusters: tuple[Clusters, ...] = ()

    def header(self) -> Iterator[str]:
        """Lines of words for the head of a script."""
        yield f"{self.title}: imports the tables beside this file and checks them."
        if self.watermark:
            yield self.watermark

    def survival_of(self, table: str) -> Survival | None:
        """The time to an event of a table, if it has one."""
        return next((s for s in self.survival if s.table == table), None)

    def clusters_of(self, table: str) -> Clusters | None:
        """The clusters of a table, if it has any."""
        return next((c for c in self.clusters if c.table == table), None)

    def checks_of(self, table: LabelledTable) -> tuple[Check, ...]:
        """Areas to find again in one table."""
        if self.survival_of(table.name) is not None:
            return ()
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
