"""Where everything of a run lies, and what the runs of one project share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Self

from featurestore.errors import ConfigError

if TYPE_CHECKING:
    from fusion.config import RunConfig

PROJECT_FOLDER = ".melafuse"
"""Name of the folder, beside the runs of a project, of what they share."""


@dataclasses.dataclass(frozen=True)
class RunPaths:
    """Layout of a run's folder.

    Attributes:
        root: The folder.
        shared: Folder of the run, where the studies of several outcomes lie in it.
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
    def own_store(self) -> Path:
        """The feature store of a run that was made before runs of a project shared one."""
        return (self.shared or self.root) / "store"

    @property
    def project(self) -> Path:
        """Where the project of the run is, so that a copy of the folder finds it."""
        return self.root / "project.txt"

    @property
    def work(self) -> Path:
        """What the report is made from, and what no other run can use."""
        return self.root / "work"

    @property
    def report_inputs(self) -> Path:
        """What the report is made from, beside the tables of the run."""
        return self.work / "report.json"

    @property
    def evidence(self) -> Path:
        """The numbers of the report, as they were computed last."""
        return self.work / "evidence.json"

    @property
    def made(self) -> Path:
        """What the outputs of the run were made of."""
        return self.work / "made.json"

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

    def export_folder(self, deidentified: bool) -> Path:
        """Where an export goes unless somebody names another folder."""
        return self.export_deidentified if deidentified else self.export

    @property
    def data_root(self) -> Path:
        """Where relative data paths started, so that the run can be opened again."""
        return self.root / "data-root.txt"


@dataclasses.dataclass(frozen=True)
class ProjectPaths:
    """Layout of what the runs of one project share: everything that is named by its content.

    A project is the folder that holds the folders of its runs, unless a configuration names
    another one.

    Attributes:
        root: The folder.
    """

    root: Path

    @classmethod
    def of(cls, paths: RunPaths, named: Path | None = None) -> Self:
        """The project of a run.

        Args:
            paths: The run; studies of several outcomes are of the project of their run.
            named: The folder that the configuration names.
        """
        if named is not None:
            return cls(named)
        run = paths.shared or paths.root
        return cls(run.parent if run.name not in ("", "..") else run.resolve().parent)

    @property
    def shared(self) -> Path:
        """The folder of what is shared."""
        return self.root / PROJECT_FOLDER

    def store(self, dtype: str) -> Path:
        """The feature store for embeddings that are kept in this type."""
        return self.shared / ("store" if dtype == "float32" else f"store-{dtype}")

    @property
    def finetune(self) -> Path:
        """Fine-tuned encoders."""
        return self.shared / "finetune"


def store_folder(config: RunConfig, paths: RunPaths) -> Path:
    """Folder of the feature store of a run.

    It is the one that the configuration names; else the run's own, which runs had before they
    shared one; else that of the project. Embeddings that are kept in half precision lie in a store
    of their own there, so that no run is given those that another one rounded.

    Args:
        config: The configuration.
        paths: Folders of the run.
    """
    if config.store is not None:
        return config.store
    if (paths.own_store / "encoders").is_dir():
        return paths.own_store
    return ProjectPaths.of(paths, config.project).store(config.extract.storage_dtype)


def existing_root(data_root: Path) -> Path:
    """The folder that relative data paths start from, in full.

    Raises:
        ConfigError: It is not a folder.
    """
    if not data_root.is_dir():
        raise ConfigError(f"data root {data_root} is not a folder")
    return data_root.resolve()
