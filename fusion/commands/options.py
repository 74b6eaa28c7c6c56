"""What commands about a study share: their options, and how they open one.

Heavy imports happen inside functions, so that `melafuse --help` answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from featurestore.cohort import Cohort
    from featurestore.progress import Progress
    from fusion.config import RunConfig
    from fusion.study import Studies, Study


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options about reading a configuration and its data."""
    for option in (
        click.option("--quiet", "-q", is_flag=True, help="No progress, only results and errors."),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override one key of the configuration, for example --set folds.n_folds=10.",
        ),
        click.option(
            "--data-root",
            type=click.Path(path_type=Path),
            help="Where relative data paths start.  [default: the configuration's folder]",
        ),
    ):
        command = option(command)
    return command


def run_folder(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option that names the folder of the run."""
    return click.option(
        name,
        "out",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of the run.  [default: runs/NAME]",
    )


def study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options shared by all commands that work on a configuration."""
    return run_folder("--out")(data_options(command))


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the numbers as JSON on standard output, only."
)
config_argument = click.argument("config", metavar="CONFIG|RUN", type=click.Path(path_type=Path))


def open_study(config: Path, **options: Any) -> Study:
    """Opens the one study of a configuration or a run's folder, for this process.

    Raises:
        ConfigError: There are several outcomes, so that a folder of one must be named.
    """
    from fusion.study.validation import require_one_outcome

    studies = open_studies(config, **options)
    require_one_outcome(studies.config)
    return next(iter(studies))


def open_studies(config: Path, overrides: tuple[str, ...], **where: Any) -> Studies:
    """Opens the studies of a configuration or a run's folder, for this process."""
    from featurestore.errors import ConfigError

    if os.environ.get("WORLD_SIZE", "1") != "1":
        name = click.get_current_context().info_name
        raise ConfigError(f"{name} works in one process: torchrun is for extract, finetune, joint")
    return _studies(_found(config, overrides, **where))


@contextlib.contextmanager
def open_together(config: Path, overrides: tuple[str, ...], **where: Any) -> Iterator[Studies]:
    """Opens the studies for this process, or for all that torchrun started."""
    found = _found(config, overrides, **where)

    from extractor.distributed import workers_of_environment

    section = found.config.finetune or found.config.extract
    with workers_of_environment(section.device) as workers:
        yield _studies(found, workers=workers)


@dataclasses.dataclass(frozen=True)
class _Found:
    """What a command was given.

    Attributes:
        config: The configuration.
        root: Folder of the run.
        data_root: Where relative data paths start.
        quiet: Whether progress is not shown.
        reads_only: Nothing is written into the folder of the run.
    """

    config: RunConfig
    root: Path
    data_root: Path
    quiet: bool
    reads_only: bool


def _found(
    source: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    data_root: Path | None,
    quiet: bool,
    reads_only: bool = False,
) -> _Found:
    """Reads the configuration before torch is imported, so that its errors are quick."""
    from featurestore.config import load_config
    from fusion.config import RunConfig
    from fusion.export.options import opened_run

    opened = opened_run(source, out, data_root)
    config = load_config(RunConfig, opened.config, overrides)
    named = any(text.startswith("project=") for text in overrides)
    if reads_only and opened.project is not None and not named:
        config = config.model_copy(update={"project": opened.project})
    root = opened.out or Path("runs") / config.name
    return _Found(config, root, opened.data_root or opened.config.parent, quiet, reads_only)


def _studies(found: _Found, **workers: Any) -> Studies:
    from fusion.study import Studies

    return Studies(
        found.config,
        found.root,
        found.data_root,
        listener(found.quiet),
        reads_only=found.reads_only,
        **workers,
    )


def read_cohorts(source: Path, overrides: tuple[str, ...], **where: Any) -> list[Cohort]:
    """The cohort of each outcome, as the sources give it; no study, so no network is loaded."""
    from extractor.torch_features import import_all
    from featurestore.cohort import build_cohorts
    from featurestore.sources import ReadContext
    from featurestore.store import FeatureStore
    from fusion.paths import ProjectPaths, RunPaths, existing_root, store_folder

    found = _found(source, overrides, **where)
    config, progress = found.config, listener(found.quiet)
    root = existing_root(found.data_root)
    paths = RunPaths.of(found.root, config)
    seen = ProjectPaths.of(paths, config.project).shared
    context = ReadContext(root, paths.scratch, config.seed, progress, seen=seen)
    store = FeatureStore(store_folder(config, paths))
    imported = import_all(config.embeddings, store, root, progress)
    features = [one.rows for one in imported.values()]
    by_outcome = config.cohort.by_outcome()
    return list(build_cohorts(by_outcome, config.name, context, progress, features).values())


def listener(quiet: bool) -> Progress:
    """What shows progress in the terminal until the command ends."""
    from featurestore.progress import SILENT
    from featurestore.terminal import TerminalProgress

    progress = SILENT if quiet else TerminalProgress()
    click.get_current_context().call_on_close(progress.finish)
    return progress


def say(study: Study, text: str) -> None:
    """Prints in the first of several processes."""
    if study.workers.is_first:
        click.echo(text)
