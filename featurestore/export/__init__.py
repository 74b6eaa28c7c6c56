"""Tables for other people's tools: one file a format, one line here to register it."""

from __future__ import annotations

from featurestore.export.base import ColumnNote, Exporter, ExportTable
from featurestore.export.csv import CsvExporter
from featurestore.export.excel import ExcelExporter
from featurestore.export.parquet import ParquetExporter
from featurestore.export.redcap import RedcapExporter
from featurestore.export.sas import SasExporter
from featurestore.export.spss import SpssExporter
from featurestore.export.stata import StataExporter

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

__all__ = ["EXPORTERS", "ColumnNote", "ExportTable", "Exporter"]
