"""An import script for Stata 14 and newer."""

from __future__ import annotations

from collections.abc import Iterator

from featurestore.export.scripts.base import TOLERANCE, Plan, one_line
from featurestore.export.variables import LabelledTable, Variable


class StataScript:
    """Opens dta files; or imports CSV and applies types, labels and value labels."""

    filename = "import.do"
    reads: tuple[str, ...] = (".dta", ".csv")

    def text(self, plan: Plan, suffix: str) -> str:
        """The script."""
        return "\n".join(self._lines(plan, suffix)) + "\n"

    def _lines(self, plan: Plan, suffix: str) -> Iterator[str]:
        yield from (f"* {one_line(line)}" for line in plan.header())
        yield "* Run it in the folder of the tables: do import.do"
        yield "version 14"
        for table in plan.tables:
            yield ""
            if suffix == ".dta":
                yield f'use "{table.name}.dta", clear'
            else:
                yield from _imported(table)
            yield f"assert _N == {table.rows}"
            for check in plan.checks_of(table):
                yield f"quietly roctab {check.outcome} {check.score}"
                yield f"assert abs(r(area) - {check.auroc!r}) < {TOLERANCE}"
                yield f'display {_quoted(check.what)} " AUROC " %8.6f r(area)'
        yield ""
        yield f'display "all {len(plan.tables)} tables are right"'


def _imported(table: LabelledTable) -> Iterator[str]:
    if len(table.variables) > 2048:
        yield f"capture set maxvar {len(table.variables) + 100}"
    yield (
        f'import delimited using "{table.name}.csv", varnames(1) case(preserve) '
        'stringcols(_all) encoding("utf-8") bindquote(strict) maxquotedrows(0) clear'
    )
    yield "* An apostrophe in front of a text protects it from spreadsheets."
    yield "foreach v of varlist _all {"
    yield "    quietly replace `v' = substr(`v', 2, .) if substr(`v', 1, 1) == \"'\""
    yield "}"
    for variable in table.variables:
        yield from _typed(variable)
    yield "order " + " ".join(v.name for v in table.variables)


def _typed(variable: Variable) -> Iterator[str]:
    name = variable.name
    if variable.levels:
        yield from _label_set(variable)
        yield "quietly generate double __new = ."
        for code, level in variable.coded.items():
            yield f"quietly replace __new = {code} if {name} == {_quoted(level)}"
        yield f"drop {name}"
        yield f"rename __new {name}"
        yield f"label values {name} {name}"
    elif variable.kind == "number":
        yield f"quietly destring {name}, replace"
        if variable.meanings:
            yield from _label_set(variable)
            yield f"label values {name} {name}"
    elif variable.kind == "date":
        yield f'quietly generate double __new = date({name}, "YMD")'
        yield f"drop {name}"
        yield f"rename __new {name}"
        yield f"format {name} %td"
    yield f"label variable {name} {_quoted(variable.label[:80])}"


def _label_set(variable: Variable) -> Iterator[str]:
    first = True
    for code, text in variable.coded.items():
        yield f"label define {variable.name} {code} {_quoted(text)}{'' if first else ', add'}"
        first = False


def _quoted(text: str) -> str:
    """Compound quotes, in which Stata expands only macros."""
    plain = one_line(text).replace("`", "\\`").replace("$", "\\$")
    return f'`"{plain}"\''
