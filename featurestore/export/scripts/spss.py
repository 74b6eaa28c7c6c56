"""An import script for SPSS Statistics; PSPP runs it too."""

from __future__ import annotations

from collections.abc import Iterator

from featurestore.export.scripts.base import TOLERANCE, Check, Plan, one_line
from featurestore.export.variables import LabelledTable, Variable


class SpssScript:
    """Opens sav files; or imports CSV and applies types, labels and value labels."""

    filename = "import.sps"
    reads: tuple[str, ...] = (".sav", ".csv")

    def text(self, plan: Plan, suffix: str) -> str:
        """The script."""
        return "\n".join(self._lines(plan, suffix)) + "\n"

    def _lines(self, plan: Plan, suffix: str) -> Iterator[str]:
        yield from (f"* {_comment(line)}." for line in plan.header())
        yield "* Run it in the folder of the tables; every check prints OK or FAILED."
        for table in plan.tables:
            yield ""
            if suffix == ".sav":
                yield f"GET FILE='{table.name}.sav'."
            else:
                yield from _imported(table)
            yield from _checks(table, plan.checks_of(table))


def _imported(table: LabelledTable) -> Iterator[str]:
    yield f"GET DATA /TYPE=TXT /FILE='{table.name}.csv' /ENCODING='UTF8' /ARRANGEMENT=DELIMITED"
    yield "  /DELIMITERS=',' /QUALIFIER='\"' /FIRSTCASE=2 /VARIABLES="
    for k, variable in enumerate(table.variables):
        end = "." if k == len(table.variables) - 1 else ""
        yield f"  {variable.name} {_format(variable)}{end}"
    for variable in table.variables:
        yield from _labels(variable)
    yield "EXECUTE."


def _format(variable: Variable) -> str:
    if variable.kind == "number":
        return "F40.6"
    if variable.kind == "date":
        return "SDATE10"
    longest = max((len(t.encode()) for t in variable.values.dropna()), default=0)
    return f"A{min(max(longest + 1, 1), 32767)}"


def _labels(variable: Variable) -> Iterator[str]:
    name = variable.name
    if variable.kind == "text":
        # An apostrophe in front of a text protects it from spreadsheets.
        yield f'IF (SUBSTR({name},1,1)="\'") {name}=SUBSTR({name},2).'
    if variable.levels:
        yield "NUMERIC new___ (F8.0)."
        for code, level in variable.coded.items():
            yield f"IF ({name}={_quoted(level)}) new___={code}."
        yield "EXECUTE."
        yield f"DELETE VARIABLES {name}."
        yield f"RENAME VARIABLES (new___={name})."
    yield f"VARIABLE LABELS {name} {_quoted(variable.label[:80])}."
    if variable.coded:
        pairs = " ".join(f"{code} {_quoted(text[:60])}" for code, text in variable.coded.items())
        yield f"VALUE LABELS {name} {pairs}."


def _checks(table: LabelledTable, checks: tuple[Check, ...]) -> Iterator[str]:
    """Counts rows and ranks scores: the area is a rank sum (Hanley and McNeil 1982)."""
    if not table.rows:
        return
    for check in checks[:1]:
        yield f"RANK VARIABLES={check.score} (A) /RANK INTO rank___ /TIES=MEAN /PRINT=NO."
        yield f"COMPUTE sum___=rank___*({check.outcome}=1)."
    yield "COMPUTE one___=1."
    yield "AGGREGATE OUTFILE=* /BREAK=one___ /rows___=N"
    for check in checks[:1]:
        yield f"  /events___=SUM({check.outcome}) /sum___=SUM(sum___)"
    yield "  ."
    yield "STRING check___ (A8)."
    yield "COMPUTE check___='FAILED'."
    condition = f"rows___={table.rows}"
    if checks:
        yield (
            "COMPUTE area___=(sum___-events___*(events___+1)/2)/(events___*(rows___-events___))."
        )
        condition += f" AND ABS(area___-{checks[0].auroc!r})<{TOLERANCE}"
    yield f"IF ({condition}) check___='OK'."
    columns = "rows___ area___ check___" if checks else "rows___ check___"
    yield f"TITLE '{table.name}'."
    yield "FORMATS area___ (F10.8)." if checks else ""
    yield f"LIST VARIABLES={columns}."


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace('"', '""') + '"'


def _comment(text: str) -> str:
    return one_line(text).replace(".", ";").rstrip(";")
