"""What the `export` command makes of its options, and what it tells."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from featurestore.config import validate
from featurestore.errors import ConfigError, DataError
from featurestore.export.deidentify import STEPS
from featurestore.export.package import Exported
from featurestore.sealed import read_sealed, read_sealed_text
from fusion.config import ExportConfig
from fusion.paths import ProjectPaths, RunPaths

_SHOWN_CHANGES = 10
_MAX_PATH = 10_000


@dataclasses.dataclass(frozen=True)
class Opened:
    """What CONFIG or the folder of a run stands for.

    Attributes:
        config: File of the configuration.
        out: Folder of the run; None where the name decides.
        data_root: Where relative data paths start; None where the configuration's folder is meant.
        project: The project that the run was in, if it still is there.
    """

    config: Path
    out: Path | None
    data_root: Path | None
    project: Path | None = None


def opened_run(source: Path, out: Path | None, data_root: Path | None) -> Opened:
    """The configuration behind CONFIG or the folder of a run, and where everything is.

    Raises:
        ConfigError: The folder is not that of a run, or the run does not say where its data were.
    """
    if not source.is_dir():
        return Opened(source, out, data_root)
    paths = RunPaths(source)
    if not paths.config.is_file():
        raise ConfigError(f"{source} is no folder of a run: it has no {paths.config.name}")
    try:
        read_sealed(paths.config, f"`melafuse ablate CONFIG --out {source}` makes it anew")
    except OSError as error:
        raise ConfigError(f"cannot read {paths.config}: {error.strerror or error}") from None
    if data_root is None:
        data_root = _recorded_root(paths)
    return Opened(paths.config, out or source, data_root, _recorded_project(paths))


def _recorded_project(paths: RunPaths) -> Path | None:
    """Where the run's project was, if it still is; a folder that was moved is looked for beside."""
    try:
        text = read_sealed_text(paths.project, "it is not needed", _MAX_PATH)
        recorded = ProjectPaths(Path(text.strip()))
    except (OSError, DataError, UnicodeDecodeError):
        return None
    return recorded.root if recorded.shared.is_dir() else None


def _recorded_root(paths: RunPaths) -> Path:
    advice = "say where relative data paths start: --data-root DIR"
    try:
        recorded = Path(read_sealed_text(paths.data_root, advice, _MAX_PATH).strip())
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"the run {paths.root} does not say where its data were; {advice}"
        ) from None
    if not recorded.is_dir():
        raise ConfigError(
            f"the data of {paths.root} were under {recorded}, which is gone; {advice}"
        )
    return recorded


def export_config(
    base: ExportConfig,
    formats: Sequence[str],
    tables: Sequence[str],
    embeddings: str | None,
    max_variables: int | None,
    deidentify: bool,
    key: Path | None,
) -> ExportConfig:
    """The configuration's section with what the command line changes.

    Raises:
        ConfigError: An option has a value that is not allowed.
    """
    changes: dict[str, Any] = {
        "formats": tuple(formats),
        "tables": tuple(tables),
        "embeddings": embeddings,
        "max_variables": max_variables,
        "deidentify": STEPS if deidentify else (),
        "key": key,
    }
    given = {name: value for name, value in changes.items() if value not in (None, ())}
    return validate(ExportConfig, base.model_dump() | given, "export")


def export_summary(exported: Exported) -> Iterator[str]:
    """Lines for the terminal: the files, and how they differ from the study's tables."""
    yield from (str(path) for path in exported.paths)
    counts: Counter[tuple[str, str]] = Counter()
    for change in exported.changes:
        counts[change.format, change.change] += change.cells
    listed = list(counts.items())
    for (form, words), cells in listed[:_SHOWN_CHANGES]:
        yield f"changed in {form}: {words} ({cells:,} cells)"
    if len(listed) > _SHOWN_CHANGES:
        yield f"… and {len(listed) - _SHOWN_CHANGES} more kinds of changes, see changes.csv"
