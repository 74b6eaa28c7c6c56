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
    from fusion.study import Study


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
config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


def open_study(config: Path, overrides: tuple[str, ...], **rest: Any) -> Study:
    """Opens a study for this process."""
    from featurestore.errors import ConfigError

    if os.environ.get("WORLD_SIZE", "1") != "1":
        name = click.get_current_context().info_name
        raise ConfigError(f"{name} works in one process: torchrun is for extract, finetune, joint")
    return _study(_load(config, overrides), config, **rest)


@contextlib.contextmanager
def open_together(config: Path, overrides: tuple[str, ...], **rest: Any) -> Iterator[Study]:
    """Opens a study for this process, or for all that torchrun started."""
    loaded = _load(config, overrides)

    from extractor.distributed import workers_of_environment

    section = loaded.finetune or loaded.extract
    with workers_of_environment(section.device) as workers:
        yield _study(loaded, config, workers=workers, **rest)


def _load(config: Path, overrides: tuple[str, ...]) -> RunConfig:
    """Reads the configuration before torch is imported, so that its errors are quick."""
    from featurestore.config import load_config
    from fusion.config import RunConfig

    return load_config(RunConfig, config, overrides)


def _study(
    loaded: RunConfig,
    config: Path,
    out: Path | None,
    data_root: Path | None,
    quiet: bool,
    project: Path | None = None,
    **how: Any,
) -> Study:
    from fusion.study import Study

    progress = listener(quiet)
    folder = config.parent if data_root is None else data_root
    if project is not None:
        loaded = loaded.model_copy(update={"project": project})
    return Study(loaded, out or Path("runs") / loaded.name, folder, progress, **how)


def read_cohort(
    config: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    data_root: Path | None,
    quiet: bool,
) -> Cohort:
    """The cohort of a configuration as its sources give it; no study, so no network is loaded."""
    from extractor.torch_features import import_all
    from featurestore.cohort import build_cohort
    from featurestore.sources import ReadContext
    from featurestore.store import FeatureStore
    from fusion.paths import ProjectPaths, RunPaths, existing_root, store_folder

    loaded = _load(config, overrides)
    progress = listener(quiet)
    root = existing_root(config.parent if data_root is None else data_root)
    paths = RunPaths(out or Path("runs") / loaded.name)
    seen = ProjectPaths.of(paths.root, loaded.project).shared
    context = ReadContext(root, paths.scratch, loaded.seed, progress, seen=seen)
    store = FeatureStore(store_folder(loaded, paths))
    imported = import_all(loaded.embeddings, store, root, progress)
    features = [one.rows for one in imported.values()]
    return build_cohort(loaded.cohort, loaded.name, context, progress, features)


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
