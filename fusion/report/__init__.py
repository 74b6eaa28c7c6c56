"""Reports from evidence: a page, Markdown, CSV, JSON and figures. No number is computed here."""

from __future__ import annotations

from fusion.report.write import ReportFiles, write_report

__all__ = ["ReportFiles", "write_report"]
