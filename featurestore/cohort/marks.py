"""What must stand on every output of a run whose numbers say nothing about patients."""

from __future__ import annotations

LABEL_MATCHED = (
    "LABEL-MATCHED: each image borrowed the clinical row of another person with the same label. "
    "No row describes one person, and no number here says anything about patients."
)
SYNTHETIC = (
    "SYNTHETIC DATA: patients, images and outcome were made by a program. "
    "No number here says anything about real patients."
)


def short_watermark(linkage: str, synthetic: bool) -> str:
    """The same in a word or two, for a column of a table."""
    marks = ["LABEL-MATCHED"] if linkage == "label_matched" else []
    marks += ["SYNTHETIC"] if synthetic else []
    return " ".join(marks)


def watermark(linkage: str, synthetic: bool) -> str:
    """The sentences that mark every table, page and file; empty for real, linked patients.

    Args:
        linkage: How images and clinical rows were matched.
        synthetic: Whether melafuse made any of the data.
    """
    marks = [LABEL_MATCHED] if linkage == "label_matched" else []
    marks += [SYNTHETIC] if synthetic else []
    return " ".join(marks)
