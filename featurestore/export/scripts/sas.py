"""An import script for SAS 9.4."""

from __future__ import annotations

from collections.abc import Iterator

from featurestore.export.scripts.base import TOLERANCE, Check, Plan, one_line
from featurestore.export.variables import LabelledTable, Variable


class SasScript:
    """Opens transport files with SAS's own macro %XPT2LOC; or reads CSV in a data step."""

    filename = "import.sas"
    reads: tuple[str, ...] = (".xpt", ".csv")

    def text(self, plan: Plan, suffix: str) -> str:
        """The script."""
        return "\n".join(self._lines(plan, suffix)) + "\n"

    def _lines(self, plan: Plan, suffix: str) -> Iterator[str]:
        yield from (f"/* {one_line(line).replace('*/', '* /')} */" for line in plan.header())
        yield "/* Needs a session with UTF-8 encoding; an error in the log is a failed check. */"
        yield "%let folder = .;"
        yield "options validvarname=v7;"
        for table in plan.tables:
            yield ""
            if suffix == ".xpt":
                yield f"%xpt2loc(libref=work, memlist={table.name},"
                yield f'  filespec="&folder/{table.name}.xpt");'
            else:
                yield from _read(table)
            yield from _formatted(table)
            yield from _checks(table, plan.checks_of(table))


def _read(table: LabelledTable) -> Iterator[str]:
    yield f"data work.{table.name};"
    yield (
        f'  infile "&folder/{table.name}.csv" dsd dlm="," firstobs=2 truncover lrecl=1000000 '
        'encoding="utf-8" termstr=lf;'
    )
    for variable in table.variables:
        yield f"  informat {variable.name} {_informat(variable)};"
    for variable in table.variables:
        if variable.kind == "date":
            yield f"  format {variable.name} date9.;"
    yield "  input " + " ".join(v.name for v in table.variables) + ";"
    for variable in table.variables:
        if variable.kind == "text":
            # An apostrophe in front of a text protects it from spreadsheets.
            n = variable.name
            yield f'  if char({n}, 1) = "\'" then {n} = substr({n}, 2);'
    for variable in table.variables:
        yield f"  label {variable.name} = {_quoted(variable.label)};"
    yield "run;"


def _informat(variable: Variable) -> str:
    if variable.kind == "number":
        return "best32."
    if variable.kind == "date":
        return "yymmdd10."
    longest = max((len(t.encode()) for t in variable.values.dropna()), default=0)
    return f"${min(max(longest + 1, 2), 32767)}."


def _formatted(table: LabelledTable) -> Iterator[str]:
    coded = [v for v in table.variables if v.meanings]
    if not coded:
        return
    sets = {tuple(v.meanings.items()): v.meanings for v in coded}
    names = {items: f"mf{k}_" for k, items in enumerate(sets, start=1)}
    yield "proc format;"
    for items, name in names.items():
        pairs = " ".join(f"{code} = {_quoted(text)}" for code, text in items)
        yield f"  value {name} {pairs};"
    yield "run;"
    yield f"proc datasets lib=work nolist; modify {table.name};"
    for variable in coded:
        yield f"  format {variable.name} {names[tuple(variable.meanings.items())]}.;"
    yield "run; quit;"


def _checks(table: LabelledTable, checks: tuple[Check, ...]) -> Iterator[str]:
    """Counts rows and ranks scores: the area is a rank sum (Hanley and McNeil 1982)."""
    yield "data _null_;"
    yield f"  if n ^= {table.rows} then do; putlog 'ERROR: {table.name} has ' n 'rows'; abort; end;"
    yield "  stop;"
    yield f"  set work.{table.name} nobs=n;"
    yield "run;"
    for check in checks:
        yield f"proc rank data=work.{table.name} out=work._ranks ties=mean;"
        yield f"  var {check.score}; ranks _rank;"
        yield "run;"
        yield "proc sql noprint;"
        yield f"  create table work._area as select sum({check.outcome}) as e, count(*) as n,"
        yield f"    sum(_rank * ({check.outcome} = 1)) as s from work._ranks;"
        yield "quit;"
        yield "data _null_;"
        yield "  set work._area;"
        yield "  area = (s - e * (e + 1) / 2) / (e * (n - e));"
        yield f"  put {_quoted(check.what)} ' AUROC ' area 10.8;"
        yield f"  if abs(area - {check.auroc!r}) >= {TOLERANCE} then do;"
        yield "    putlog 'ERROR: another AUROC was expected'; abort; end;"
        yield "run;"


def _quoted(text: str) -> str:
    """Single quotes, in which SAS expands no macros."""
    return "'" + one_line(text).replace("'", "''") + "'"
