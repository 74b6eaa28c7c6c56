"""Tables for other people's tools: one file a format, one line here to register it.

An installed package registers a format of its own as an entry point of `melafuse.exports`.
"""

from __future__ import annotations

from typing import cast

from featurestore.errors import ConfigError
from featurestore.export.base import ColumnNote, Exporter, ExportTable
from featurestore.export.csv import CsvExporter
from featurestore.export.excel import ExcelExporter
from featurestore.export.parquet import ParquetExporter
from featurestore.export.redcap import RedcapExporter
from featurestore.export.sas import SasExporter
from featurestore.export.spss import SpssExporter
from featurestore.export.stata import StataExporter
from featurestore.plugins import plugins

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        CsvExporter(),
        ParquetExporter(),
        StataExporter(),
        SpssExporter(),
        SasExporter(),
        RedcapExporter(),
        ExcelExporter(),
    )
}


def exporter_names() -> tuple[str, ...]:
    """Names of all formats: ours, then those of installed packages; nothing is imported."""
    return (*EXPORTERS, *(name for name in plugins("melafuse.exports") if name not in EXPORTERS))


def find_exporter(name: str) -> Exporter:
    """Looks a format up.

    Raises:
        ConfigError: No format has this name, or the package that registers it brings none.
    """
    if name in EXPORTERS:
        return EXPORTERS[name]
    plugin = plugins("melafuse.exports").get(name)
    if plugin is None:
        raise ConfigError(f"unknown format {name!r}; known: {', '.join(exporter_names())}")
    found = plugin.load()
    made = found() if isinstance(found, type) else found
    lacking = [part for part in _PARTS if not hasattr(made, part)]
    if lacking or made.name != name:
        what = f"it lacks {', '.join(lacking)}" if lacking else f"it calls itself {made.name!r}"
        raise ConfigError(f"format {name!r} of {plugin.distribution} {plugin.version}: {what}")
    return cast(Exporter, made)


_PARTS = ("name", "suffix", "fit", "write", "read")

__all__ = [
    "EXPORTERS",
    "ColumnNote",
    "ExportTable",
    "Exporter",
    "exporter_names",
    "find_exporter",
]
