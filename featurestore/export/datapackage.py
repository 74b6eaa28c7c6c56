"""`datapackage.json`: the Frictionless Data Package (specs.frictionlessdata.io, version 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.export.variables import LabelledTable, Variable

MEDIA_TYPES = {
    ".csv": "text/csv",
    ".redcap.csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".dta": "application/x-stata-dta",
    ".sav": "application/x-spss-sav",
    ".xpt": "application/x-sas-xport",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ANY_BYTES = "application/octet-stream"
"""Of a format that melafuse does not know (RFC 2046)."""
_DIGEST_CHUNK = 1 << 20


def datapackage(
    name: str,
    title: str,
    description: str,
    tables: Sequence[LabelledTable],
    folder: Path,
    files: Sequence[Path],
) -> str:
    """The description of all data files of a folder.

    CSV files are tabular resources with a schema; the other formats carry their own and are listed
    with size and digest.

    Args:
        name: Name of the package; made fit for the standard.
        title: Title.
        description: What the data are, with the watermark.
        tables: The exported tables.
        folder: Where the files are.
        files: Their paths; the stem of each is the name of a table.
    """
    by_name = {table.name: table for table in tables}
    named = [(file, file.name.partition(".")[0]) for file in files]
    resources = [_resource(by_name[name], file, folder) for file, name in named if name in by_name]
    package = {
        "profile": "data-package",
        "name": "".join(c if c.isalnum() or c in "-_." else "-" for c in name.lower()),
        "title": title,
        "description": description,
        "resources": resources,
    }
    return json.dumps(package, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _resource(table: LabelledTable, file: Path, folder: Path) -> Mapping[str, Any]:
    suffix = file.name.removeprefix(table.name)
    tabular = suffix == ".csv"
    resource: dict[str, Any] = {
        "name": f"{table.name}{suffix}".replace("_", "-").lower(),
        "path": file.relative_to(folder).as_posix(),
        "profile": "tabular-data-resource" if tabular else "data-resource",
        "title": table.label,
        "format": suffix.removeprefix("."),
        "mediatype": MEDIA_TYPES.get(suffix, ANY_BYTES),
        "bytes": file.stat().st_size,
        "hash": f"sha256:{_digest(file)}",
    }
    if tabular:
        resource["encoding"] = "utf-8"
        resource["dialect"] = {"delimiter": ",", "quoteChar": '"', "lineTerminator": "\n"}
        resource["schema"] = {
            "fields": [_field(variable) for variable in table.variables],
            "missingValues": [""],
            **({"primaryKey": list(table.key)} if table.key else {}),
        }
    return resource


def _field(variable: Variable) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": variable.name,
        "title": variable.label,
        "type": _type(variable),
        "description": "; ".join(
            part
            for part in (
                f"original name: {variable.original}" if variable.renamed else "",
                f"unit: {variable.unit}" if variable.unit else "",
                "; ".join(f"{k} = {t}" for k, t in variable.meanings.items()),
                variable.note,
            )
            if part
        ),
    }
    if variable.kind == "date":
        field["format"] = "%Y-%m-%d"
    return field


def _type(variable: Variable) -> str:
    if variable.kind != "number":
        return "string" if variable.kind == "text" else "date"
    return "integer" if pd.api.types.is_integer_dtype(variable.values.dtype) else "number"


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_DIGEST_CHUNK):
            found.update(chunk)
    return found.hexdigest()
