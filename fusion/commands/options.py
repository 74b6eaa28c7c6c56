"""What commands about a study share: their options, and how they open one.

Heavy imports happen inside functions, so that `melafuse --help` answers at once.
"""

from __future__ import annotations

import contextlib
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


def open_studies(config: Path, overrides: tuple[str, ...], **rest: Any) -> Studies:
    """Opens the studies of a configuration or a run's folder, for this process."""
    from featurestore.errors import ConfigError

    if os.environ.get("WORLD_SIZE", "1") != "1":
        name = click.get_current_context().info_name
        raise ConfigError(f"{name} works in one process: torchrun is for extract, finetune, joint")
    return _studies(config, overrides, **rest)


@contextlib.contextmanager
def open_together(config: Path, overrides: tuple[str, ...], **rest: Any) -> Iterator[Studies]:
    """Opens the studies for this process, or for all that torchrun started."""
    from fusion.export.options import opened_run

    path, _ = opened_run(config, None, config)
    loaded = _load(path, overrides)

    from extractor.distributed import workers_of_environment

    section = loaded.finetune or loaded.extract
    with workers_of_environment(section.device) as workers:
        yield _studies(config, overrides, workers=workers, **rest)


def _load(config: Path, overrides: tuple[str, ...]) -> RunConfig:
    """Reads the configuration before torch is imported, so that its errors are quick."""
    from featurestore.config import load_config
    from fusion.config import RunConfig

    return load_config(RunConfig, config, overrides)


def _studies(
    source: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    data_root: Path | None,
    quiet: bool,
    **workers: Any,
) -> Studies:
    from fusion.export.options import opened_run

    config, places = opened_run(source, out, data_root)
    loaded = _load(config, overrides)
    folder = places["data_root"] or config.parent
    root = places["out"] or Path("runs") / loaded.name

    from fusion.study import Studies

    return Studies(loaded, root, folder, listener(quiet), **workers)


def read_cohorts(
    source: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    data_root: Path | None,
    quiet: bool,
) -> list[Cohort]:
    """The cohort of each outcome, as the sources give it; no study, so no network is loaded."""
    from extractor.torch_features import import_all
    from featurestore.cohort import build_cohorts
    from featurestore.sources import ReadContext
    from featurestore.store import FeatureStore
    from fusion.export.options import opened_run
    from fusion.paths import RunPaths, existing_root

    config, places = opened_run(source, out, data_root)
    loaded = _load(config, overrides)
    progress = listener(quiet)
    root = existing_root(places["data_root"] or config.parent)
    paths = RunPaths.of(places["out"] or Path("runs") / loaded.name, loaded)
    context = ReadContext(root, paths.scratch, loaded.seed, progress)
    store = FeatureStore(loaded.store or paths.store)
    imported = import_all(loaded.embeddings, store, root, progress)
    features = [one.rows for one in imported.values()]
    by_outcome = loaded.cohort.by_outcome()
    return list(build_cohorts(by_outcome, loaded.name, context, progress, features).values())


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
