"""What an extraction did."""

from __future__ import annotations

import dataclasses

from featurestore.store import EncoderIdentity, QuarantineRow
from featurestore.units import counted


@dataclasses.dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did; every image row is in exactly one of the three counts.

    Attributes:
        encoders: Identity by name of encoder.
        embedded: Image rows whose content was embedded now, by at least one backbone.
        reused: Image rows all of whose embeddings were in the store.
        quarantined: Image rows that cannot be used, with the reason.
        seconds: `elapsed`, and `decode`, `forward` and `write` summed over the threads and
            processes that worked on them side by side.
    """

    encoders: dict[str, EncoderIdentity]
    embedded: int
    reused: int
    quarantined: tuple[QuarantineRow, ...]
    seconds: dict[str, float]


NO_EXTRACTION = ExtractionReport({}, 0, 0, (), {})
"""That of a cohort without images."""


def summary_of(report: ExtractionReport) -> str:
    """The counts in one line for people."""
    text = f"{counted(report.embedded, 'image')} embedded, {report.reused:,} reused"
    if report.quarantined:
        text += f", {len(report.quarantined):,} quarantined"
    return text
