"""The door: commands that parse, call one function of a room, and print what it returns.

Heavy imports happen inside commands, so that `melafuse --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from featurestore.store import FeatureStore
    from fusion.evidence import Evidence
    from fusion.study import Study

EXIT_CODES = """\b
Exit codes: 0 done; 1 internal error; 2 wrong option or configuration; 4 wrong data;
5 damaged or incomplete store; 6 leakage refused; 7 weights not available; 130 interrupted."""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="melafuse")
def cli() -> None:
    """Embed lesion images once, iterate on fusion models in seconds, report honest numbers.

    For research. Not a medical device.
    """


def study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options shared by all commands that work on a configuration."""
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
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of the run.  [default: runs/NAME]",
        ),
    ):
        command = option(command)
    return command


config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


@cli.command()
@config_argument
@study_options
def run(config: Path, **options: Any) -> None:
    """Do everything: cohort, extract, ablate, report, export.

    Every stage goes on from what is already valid and says what it reused.
    """
    _run(config, **options)


@cli.command()
@study_options
def demo(**options: Any) -> None:
    """Run the demonstration on a synthetic cohort (configs/demo.yaml)."""
    _run(_shipped_config("demo.yaml"), **options)


@cli.command()
@config_argument
@study_options
def extract(config: Path, **options: Any) -> None:
    """Embed every image that the feature store does not have yet."""
    study = _open(config, **options)
    report = study.extract()
    click.echo(
        f"embedded {report.embedded}, reused {report.reused}, "
        f"quarantined {len(report.quarantined)} (see {study.store.root / 'quarantine.csv'})"
    )


@cli.command()
@config_argument
@study_options
def ablate(config: Path, **options: Any) -> None:
    """Fit every arm on every fold; print the ablation table and write the report."""
    study = _open(config, **options)
    evidence = study.evidence(study.ablate())
    study.report(evidence)
    _show(study, evidence)


@cli.command()
@config_argument
@study_options
@click.option("--format", "formats", multiple=True, help="csv or parquet; may be repeated.")
@click.option("--embeddings", help="raw, none, or pca:K (fitted per fold).")
def export(
    config: Path, formats: tuple[str, ...], embeddings: str | None, **options: Any
) -> None:
    """Write patients, images, folds, embeddings and predictions for other tools."""
    from featurestore.config import validate
    from fusion.config import ExportConfig

    study = _open(config, **options)
    changes = {"formats": formats or None, "embeddings": embeddings}
    chosen = study.config.export.model_dump() | {k: v for k, v in changes.items() if v}
    for path in study.export(config=validate(ExportConfig, chosen, "export")):
        click.echo(str(path))


@cli.group()
def store() -> None:
    """Look into and look after a feature store."""


def main() -> None:
    """Runs the command line and turns errors into one line and an exit code."""
    from featurestore.errors import MelafuseError

    try:
        cli.main(standalone_mode=False)
    except MelafuseError as error:
        click.echo(f"melafuse: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("melafuse: interrupted; the same command goes on from here", err=True)
        sys.exit(130)


def _open(
    config: Path, out: Path | None, data_root: Path | None, overrides: tuple[str, ...], quiet: bool
) -> Study:
    from featurestore.progress import SILENT
    from featurestore.terminal import TerminalProgress
    from fusion.study import Study

    progress = SILENT if quiet else TerminalProgress()
    click.get_current_context().call_on_close(progress.finish)
    return Study.open(config, out, data_root, overrides, progress)


def _run(config: Path, **options: Any) -> None:
    study = _open(config, **options)
    _show(study, study.run())


def _show(study: Study, evidence: Evidence) -> None:
    from rich.console import Console

    from fusion.report.terminal import print_evidence

    print_evidence(evidence, Console(soft_wrap=False))
    click.echo(f"report: {study.paths.report / 'report.html'}")


def _shipped_config(name: str) -> Path:
    """Finds a configuration beside this file (a checkout) or under the installation."""
    beside = Path(__file__).parent / "configs" / name
    return beside if beside.exists() else Path(sys.prefix) / "share" / "melafuse" / name


if __name__ == "__main__":
    main()
