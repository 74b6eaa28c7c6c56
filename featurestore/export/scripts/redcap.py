"""The data dictionary that REDCap makes a project from (REDCap 14, Data Dictionary Codebook)."""

from __future__ import annotations

import pandas as pd

from featurestore.export.scripts.base import Plan, Script
from featurestore.export.variables import LabelledTable, Variable, printable
from featurestore.tables import csv_text

COLUMNS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
"""The columns that REDCap asks for, in its order."""

TABLE = "analysis"
"""The table with a row a patient: a REDCap record."""

_YES_NO = {0: "no", 1: "yes"}


class RedcapDictionary(Script):
    """One field a variable; a part of a split table is a form of its own."""

    def text(self, plan: Plan, suffix: str) -> str:
        """The dictionary as CSV; a header alone where the table is not exported.

        Args:
            plan: What is exported.
            suffix: Ending of the files with the data.
        """
        parts = [t for t in plan.tables if TABLE in (t.name, t.split_from) and len(t.key) == 1]
        rows: list[dict[str, str]] = []
        seen: set[str] = set()
        for part in parts:
            first = sorted(part.variables, key=lambda v: v.name not in part.key)
            for variable in first:
                if variable.name not in seen:
                    seen.add(variable.name)
                    rows.append(_field(variable, part))
        empty = dict.fromkeys(COLUMNS, "")
        return csv_text(pd.DataFrame([empty | row for row in rows], columns=list(COLUMNS)))


def _field(variable: Variable, table: LabelledTable) -> dict[str, str]:
    kind, choices, checked = _kind(variable)
    unit = f", {variable.unit}" if variable.unit else ""
    identifies = variable.name in table.key or variable.kind == "date"
    return {
        "Variable / Field Name": variable.name,
        "Form Name": table.name,
        "Section Header": "",
        "Field Type": kind,
        "Field Label": printable(f"{variable.label}{unit}") or variable.name,
        "Choices, Calculations, OR Slider Labels": choices,
        "Field Note": printable(variable.note),
        "Text Validation Type OR Show Slider Number": checked,
        "Identifier?": "y" if identifies else "",
    }


def _kind(variable: Variable) -> tuple[str, str, str]:
    """Field type, choices and validation."""
    if variable.coded == _YES_NO:
        return "yesno", "", ""
    if variable.coded:
        listed = (f"{code}, {_choice(text)}" for code, text in variable.coded.items())
        return "radio", " | ".join(listed), ""
    if variable.kind == "number":
        whole = pd.api.types.is_integer_dtype(variable.values.dtype)
        return "text", "", "integer" if whole else "number"
    return "text", "", "date_ymd" if variable.kind == "date" else ""


def _choice(text: str) -> str:
    """Text of a choice, in which a bar would begin the next one."""
    return printable(text).replace("|", "/") or "(empty)"


REDCAP = RedcapDictionary("redcap_dictionary.csv", (".redcap.csv",), {})
