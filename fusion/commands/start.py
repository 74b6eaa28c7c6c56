"""Commands before a study: propose a configuration, check the machine, look at the cohort."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from fusion.commands.options import config_argument, read_cohorts, study_options


@click.command()
@click.argument(
    "folders",
    nargs=-1,
    metavar="[FOLDER]...",
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option(
    "--images",
    multiple=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of images; may be repeated.",
)
@click.option(
    "--table",
    "tables",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A table of any known format; may be repeated.",
)
@click.option(
    "--out",
    default="config.yaml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration to write; it must not exist.",
)
def init(
    folders: tuple[Path, ...], images: tuple[Path, ...], tables: tuple[Path, ...], out: Path
) -> None:
    """Look at images and tables, and write a commented configuration to start from.

    FOLDER is a data set as it was downloaded: its tables are looked for, and its images, those in
    archives among them. It says what was guessed and why, and what could not be guessed. Nothing
    is overwritten.
    """
    from fusion.start.propose import look_into, propose, summary, write_proposal

    if not folders and not tables:
        raise click.UsageError("name a folder, or tables with --table FILE")
    for folder in folders:
        found, pictures = look_into(folder)
        tables, images = (*tables, *found), (*images, *pictures)
    proposal = propose(tables, images, out)
    write_proposal(proposal, out)
    for line in summary(proposal, out):
        click.echo(line)


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@study_options
def doctor(config: Path | None, quiet: bool, overrides: tuple[str, ...], **folders: Any) -> None:
    """Check machine, data, weights, disk and store before a long run. Needs no network.

    Ends with exit code 0, or 1 if a check fails. --quiet prints only what needs attention.
    """
    from fusion.start.doctor import examine

    failed = 0
    for examined in examine(config, overrides, **folders):
        finding = examined.finding
        failed += finding.status == "fail"
        if quiet and finding.status == "ok":
            continue
        advice = f" -> {finding.advice}" if finding.advice else ""
        click.echo(f"{finding.status:<5}{examined.check:<9}{finding.text}{advice}")
    if failed:
        sys.exit(1)


@click.group()
def cohort() -> None:
    """Look at who is studied before anything is fitted."""


@cohort.command("describe")
@config_argument
@study_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    show_default=True,
    help="csv is one tidy table: section, name, item, value.",
)
def cohort_describe(config: Path, form: str, **options: Any) -> None:
    """Show counts, outcome, exclusions, missingness and Table 1 by outcome. Fits nothing."""
    from rich.console import Console

    from featurestore.cohort.describe import describe, print_description, to_csv, to_json

    described = [describe(found) for found in read_cohorts(config, **options)]
    if form == "text":
        for description in described:
            print_description(description, Console(soft_wrap=False))
    else:
        click.echo((to_json if form == "json" else to_csv)(described).rstrip("\n"))
