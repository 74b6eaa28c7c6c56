"""The command that puts a finished run where people look. Heavy imports happen inside it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to",
    "targets",
    multiple=True,
    required=True,
    metavar="mlflow:URI|hf-folder:DIR",
    help="A tracking store of MLflow (mlflow:sqlite:///runs.db), or a folder that `hf upload` "
    "pushes; may be repeated.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="A bundle that `melafuse fit` made of this run, to go with it.",
)
@click.option(
    "--licence",
    "--license",
    "licence",
    default="",
    metavar="ID",
    help="Licence of what is published, as the Hub names it (apache-2.0, cc-by-nc-4.0).",
)
@click.option("--name", default="", help="What it is called there.  [default: as the run's folder]")
@click.option(
    "--anyway",
    is_flag=True,
    help="Also what is synthetic, label-matched or failed its audit; that is then said on it.",
)
def publish(run: Path, targets: tuple[str, ...], **wishes: str | bool | Path | None) -> None:
    """Publish a finished run: metrics with intervals, model card and report; no patient.

    RUN is the folder of a run. Publishing it twice changes nothing; a run that changed takes the
    place of what was published under its name. Nothing is sent anywhere but to what --to names.
    """
    from fusion.publish import Wishes, find_publisher, prepare

    found = [(target, *find_publisher(target)) for target in targets]
    for _, publisher, place in found:
        publisher.require(place)
    publication = prepare(run, Wishes(**wishes))  # type: ignore[arg-type]
    for warning in publication.warnings:
        click.echo(f"melafuse: {warning}", err=True)
    for target, publisher, place in found:
        state = publisher.publish(publication, place)
        click.echo(f"{state} {publication.name} {publication.digest[:12]}: {target}")
