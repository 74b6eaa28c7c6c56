"""Studies of several outcomes: one a folder, on the same folds, embeddings and sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from extractor.workers import ALONE, Workers
from featurestore.config import load_config
from featurestore.errors import ConfigError
from featurestore.progress import SILENT, Progress
from fusion.config import RunConfig
from fusion.study.study import Study

COMPARISON = "comparison"
RESERVED = ("store", "scratch", COMPARISON)
"""Folders beside those of the outcomes."""


class Studies:
    """The studies of a configuration: one, or one for each of its `cohort.outcomes`.

    Each of several is a study in its own folder, which is resumed, reported, exported and fitted
    like any other. They share the feature store, what sources remember, and the assignment of
    patients to folds.

    Attributes:
        config: The configuration.
        root: Folder of the run, with one folder an outcome where there are several.
        by_outcome: The studies by outcome.

    Example:
        >>> studies = Studies.open("mine.yaml", out="runs/mine")  # doctest: +SKIP
        >>> evidence = [study.run() for study in studies]  # doctest: +SKIP
    """

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        data_root: Path,
        progress: Progress = SILENT,
        workers: Workers = ALONE,
        reads_only: bool = False,
    ) -> None:
        """Stores what to study; nothing is read yet.

        Args:
            config: The validated configuration.
            out: Folder of the run.
            data_root: Where relative data paths start.
            progress: Listener of the long stages.
            workers: Processes that work together.
            reads_only: Nothing is written into the folder of the run.

        Raises:
            ConfigError: The data root is not a folder, or an outcome is called like a folder that
                a run has beside those of the outcomes.
        """
        self.config = config
        self.root = out
        configs = config.studies()
        taken = [name for name in configs if name.casefold() in RESERVED]
        if self.is_several and taken:
            raise ConfigError(f"cohort.outcomes: {taken[0]!r} is a folder of the run; rename it")
        self.by_outcome = {
            name: Study(
                own,
                out / name if self.is_several else out,
                data_root,
                progress,
                workers,
                reads_only,
            )
            for name, own in configs.items()
        }
        first = next(iter(self))
        for study in self:
            study.source_cohorts = first.source_cohorts

    @classmethod
    def open(
        cls,
        config: str | Path,
        out: str | Path | None = None,
        data_root: str | Path | None = None,
        overrides: Sequence[str] = (),
        progress: Progress = SILENT,
    ) -> Self:
        """Reads a configuration file; see `Study.open`."""
        path = Path(config)
        loaded = load_config(RunConfig, path, overrides)
        root = path.parent if data_root is None else Path(data_root)
        return cls(loaded, Path(out or Path("runs") / loaded.name), root, progress)

    @property
    def is_several(self) -> bool:
        """Whether there is a folder for each outcome."""
        return bool(self.config.cohort.outcomes)

    @property
    def comparison(self) -> Path:
        """Folder of the page that compares the outcomes."""
        return self.root / COMPARISON

    def __iter__(self) -> Iterator[Study]:
        return iter(self.by_outcome.values())


def folders_of(root: Path) -> tuple[Path, ...]:
    """Folders of the studies below the folder of a run of several outcomes; empty if it is none.

    They stand in the order in which the outcomes were asked for.
    """
    found: dict[str, Path] = {}
    order: list[str] = []
    for path in sorted(root.glob("*/config.yaml")):
        cohort = load_config(RunConfig, path).cohort
        if cohort.folds_with:
            found[cohort.find_outcome().name] = path.parent
            order = list(cohort.sharing_folds())
    return tuple(found[name] for name in order if name in found)
