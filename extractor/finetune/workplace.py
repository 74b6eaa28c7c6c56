"""Where a training happens, with whom, and who is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from extractor.finetune.samples import ImageCache
from extractor.workers import ALONE, Workers
from featurestore.progress import SILENT, Progress


@dataclasses.dataclass(frozen=True)
class Workplace:
    """What trainings of one study share.

    Attributes:
        data_root: Folder that relative paths start from.
        folder: Where weights, history and checkpoints go; all processes must see it.
        progress: Told of every step.
        workers: Processes that train together.
        cache: Decoded images, to be shared between trainings of the same images.
    """

    data_root: Path
    folder: Path
    progress: Progress = SILENT
    workers: Workers = ALONE
    cache: ImageCache | None = None
