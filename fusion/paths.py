"""Where everything of a run lies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from featurestore.errors import ConfigError
from fusion.config import RunConfig


@dataclasses.dataclass(frozen=True)
class RunPaths:
    """Layout of a run's folder.

    Attributes:
        root: The folder.
        shared: Folder of the store and of what sources remember, where several studies share them.
    """

    root: Path
    shared: Path | None = None

    @classmethod
    def of(cls, root: Path, config: RunConfig) -> RunPaths:
        """The layout of a study: one of several outcomes lies in a folder with the others."""
        return cls(root, root.parent if config.cohort.folds_with else None)

    @property
    def config(self) -> Path:
        """The configuration with all defaults filled in."""
        return self.root / "config.yaml"

    @property
    def scratch(self) -> Path:
        """Files that sources make or remember."""
        return (self.shared or self.root) / "scratch"

    @property
    def cohort(self) -> Path:
        """Images, patients, dictionary and exclusions as they were studied."""
        return self.root / "cohort"

    @property
    def folds(self) -> Path:
        """The frozen folds."""
        return self.root / "folds.parquet"

    @property
    def store(self) -> Path:
        """The feature store, unless the configuration names a shared one."""
        return (self.shared or self.root) / "store"

    @property
    def work(self) -> Path:
        """Finished parts of the evaluation, tuning studies."""
        return self.root / "work"

    @property
    def report_inputs(self) -> Path:
        """What the report is made from, beside the tables of the run."""
        return self.work / "report.json"

    @property
    def choices(self) -> Path:
        """What every fit chose inside, and how it explains itself."""
        return self.work / "choices.json"

    @property
    def overlays(self) -> Path:
        """Grad-CAM of some patients."""
        return self.work / "overlays.json"

    @property
    def outside(self) -> Path:
        """Out-of-fold predictions that were made outside of the run."""
        return self.work / "outside"

    @property
    def time_ladder(self) -> Path:
        """The time ladder."""
        return self.work / "time_ladder.json"

    @property
    def predictions(self) -> Path:
        """The out-of-fold predictions table."""
        return self.root / "predictions.parquet"

    @property
    def report(self) -> Path:
        """The report."""
        return self.root / "report"

    @property
    def export(self) -> Path:
        """Tables for other tools."""
        return self.root / "export"

    @property
    def export_deidentified(self) -> Path:
        """Tables from which ids, high ages or dates were taken; never beside the others."""
        return self.root / "export-deidentified"

    @property
    def data_root(self) -> Path:
        """Where relative data paths started, so that the run can be opened again."""
        return self.root / "data-root.txt"


def existing_root(data_root: Path) -> Path:
    """The folder that relative data paths start from, in full.

    Raises:
        ConfigError: It is not a folder.
    """
    if not data_root.is_dir():
        raise ConfigError(f"data root {data_root} is not a folder")
    return data_root.resolve()
