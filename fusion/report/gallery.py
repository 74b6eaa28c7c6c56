"""Pictures of patients with the heat of Grad-CAM."""

from __future__ import annotations

import base64
import dataclasses
import itertools

import pandas as pd

from fusion.evaluation import PatientOverlay
from fusion.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        encoder: Whose heat it is.
        file: Its name under `figures/`.
        alt: What it shows, in words.
        png: Its content.
    """

    encoder: str
    file: str
    alt: str
    png: bytes

    @property
    def source(self) -> str:
        """The content as a `data:` address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclasses.dataclass(frozen=True)
class Gallery:
    """The pictures of one patient, of whom nothing but this is told.

    Attributes:
        title: Why the patient is shown.
        probability: Out-of-fold.
        outcome: `yes` or `no`.
        pictures: One an encoder that has one.
        missing: Of the other encoders, why there is no picture.
    """

    title: str
    probability: float
    outcome: str
    pictures: tuple[Picture, ...]
    missing: tuple[str, ...] = ()


def galleries(evidence: Evidence) -> tuple[Gallery, ...]:
    """One for each patient that was drawn, in order."""
    found = []
    for number, (_, overlays) in enumerate(
        itertools.groupby(evidence.overlays, key=lambda o: (o.kind, o.rank)), start=1
    ):
        members = list(overlays)
        first = members[0]
        shown = (o for o in members if not o.reason)
        pictures = tuple(
            _picture(o, number, k, evidence.noun.one) for k, o in enumerate(shown, start=1)
        )
        missing = tuple(f"{o.encoder}: not shown, {o.reason}" for o in members if o.reason)
        outcome = "yes" if first.outcome else "no"
        title = f"{first.kind}, {first.rank + 1}"
        found.append(Gallery(title, first.probability, outcome, pictures, missing))
    return tuple(found)


def tidy_galleries(evidence: Evidence) -> pd.DataFrame:
    """What each file under `figures/` shows: one row a picture."""
    rows = [
        (p.file, g.title, g.probability, g.outcome, p.encoder)
        for g in galleries(evidence)
        for p in g.pictures
    ]
    return pd.DataFrame(
        rows, columns=["file", evidence.noun.one, "probability", "outcome", "encoder"]
    )


def _picture(overlay: PatientOverlay, number: int, k: int, one: str) -> Picture:
    known = "with" if overlay.outcome else "without"
    alt = (
        f"Picture of a {one} {known} the outcome and a probability of "
        f"{overlay.probability:.3f}, with heat where {overlay.encoder} raises the score"
    )
    return Picture(overlay.encoder, f"gradcam-{number}-{k}.png", alt, overlay.png)
