"""The command that lists the runs of a project. Heavy imports happen inside it."""

from __future__ import annotations

from pathlib import Path

import click

from fusion.commands.options import json_option


@click.command()
@click.argument("project", default="runs", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--sort",
    type=click.Choice(["folder", "made", "headline", "patients"]),
    default="folder",
    show_default=True,
    help="The newest, the highest or the largest stands first.",
)
@json_option
def runs(project: Path, sort: str, as_json: bool) -> None:
    """List the runs of a project: their numbers, audit and what differs between them.

    PROJECT is the folder that holds the folders of runs.  [default: runs]
    """
    from rich.console import Console

    from fusion.evidence.listing import list_runs
    from fusion.report.runs import print_runs, runs_json

    found = list_runs(project, sort)
    if as_json:
        click.echo(runs_json(found), nl=False)
    elif found:
        print_runs(found, Console(soft_wrap=False))
    else:
        click.echo(f"{project} holds no run")
