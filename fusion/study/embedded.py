"""A cohort when its images are embedded."""

from __future__ import annotations

import dataclasses

from extractor.extraction import ExtractionReport
from featurestore.cohort import Cohort
from featurestore.store import EncoderIdentity


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A cohort whose every image is in the store.

    Attributes:
        cohort: The cohort without the images that could not be embedded.
        extraction: What the extraction did, with the identity of every backbone.
        encoders: Identity by name of everything that embeds for all folds: backbones, then
            encoders from elsewhere.
    """

    cohort: Cohort
    extraction: ExtractionReport
    encoders: dict[str, EncoderIdentity]
