"""What a check of the doctor is, and what it looks at."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import pydantic

from extractor.config import BackboneConfig
from extractor.offline import WeightsPlace, locate_weights
from featurestore.images import CONTAINER_SUFFIXES, ImageFolder
from featurestore.sources import ReadContext, SourceTables
from fusion.config import RunConfig
from fusion.paths import RunPaths, store_folder

Status = Literal["ok", "warn", "fail"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        status: `fail` stops a run or spoils it, `warn` may.
        text: What was found.
        advice: What to do; empty where there is nothing to do.
    """

    status: Status
    text: str
    advice: str = ""


def ok(text: str) -> Finding:
    """A finding that needs nothing."""
    return Finding("ok", text)


def warn(text: str, advice: str) -> Finding:
    """A finding that may spoil a run."""
    return Finding("warn", text, advice)


def fail(text: str, advice: str) -> Finding:
    """A finding that stops a run."""
    return Finding("fail", text, advice)


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the doctor looks at: the machine, and a study where one is given.

    Attributes:
        config: The study's configuration.
        data_root: Where relative data paths start.
        out: Folder of the run; it need not exist.
    """

    config: RunConfig
    data_root: Path
    out: Path

    @property
    def store(self) -> Path:
        """Folder of the feature store; it need not exist."""
        return store_folder(self.config, RunPaths.of(self.out, self.config))

    @property
    def backbones(self) -> tuple[BackboneConfig, ...]:
        """Every backbone whose weights the run needs; none where the sources name no image."""
        if not self.names_images:
            return ()
        tuned = self.config.finetune.backbones if self.config.finetune else ()
        return tuple(dict.fromkeys((*self.config.extract.backbones, *tuned)))

    @cached_property
    def weights(self) -> dict[BackboneConfig, WeightsPlace]:
        """Where the weights of each backbone are.

        Raises:
            ConfigError: A backbone is unknown, or does not go with its weights or image size.
        """
        seed = self.config.seed
        return {b: locate_weights(b, seed, self.data_root) for b in self.backbones}

    @cached_property
    def paths(self) -> tuple[tuple[str, str, Path], ...]:
        """`(source kind, key, absolute path)` of every file and folder the sources name."""
        return tuple(
            (source.kind, key, self.data_root / path)
            for source in self.config.cohort.sources
            for key, path in _paths_in(source)
        )

    @property
    def names_images(self) -> bool:
        """Whether a source brings images."""
        return any(
            source.kind == "synthetic" or getattr(source, "images", None)
            for source in self.config.cohort.sources
        )

    @cached_property
    def image_files(self) -> tuple[Path, ...]:
        """Photographs under the folders that the sources name, sorted."""
        packed = CONTAINER_SUFFIXES
        folders = [p for _, _, p in self.paths if p.is_dir() or p.suffix.lower() in packed]
        return ImageFolder.scan(folders).photographs

    @cached_property
    def tables(self) -> tuple[SourceTables, ...]:
        """What the sources read; a synthetic cohort is made by the run and left out here."""
        with tempfile.TemporaryDirectory() as scratch:
            cohort = self.config.cohort
            root, seed, named = self.data_root, self.config.seed, cohort.named_texts()
            context = ReadContext(root, Path(scratch), seed, named=named, unit=cohort.unit)
            return tuple(
                source.read(context)
                for source in self.config.cohort.sources
                if source.kind != "synthetic"
            )


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Name in the output.
        find: Yields the findings; it changes nothing and needs no network.
    """

    name: str
    find: Callable[[Diagnosis], Iterable[Finding]]


@dataclasses.dataclass(frozen=True)
class MachineCheck:
    """One check that needs no study.

    Attributes:
        name: Name in the output.
        find: Yields the findings; it changes nothing and needs no network.
    """

    name: str
    find: Callable[[], Iterable[Finding]]


def existing_parent(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    whole = path.absolute()
    return next(p for p in (whole, *whole.parents) if p.exists())


def _paths_in(section: pydantic.BaseModel, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, pydantic.BaseModel):
            yield from _paths_in(value, f"{prefix}{key}.")
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Path):
                yield f"{prefix}{key}", item
