"""Commands that climb a ladder alone: what a result is made of, rung by rung."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fusion.commands.options import config_argument, json_option, open_study, study_options


@click.group()
def ladder() -> None:
    """Show what a result is made of: one model, one doubtful habit less on every rung.

    A run climbs both by itself where they apply, and its report has them.
    """


@ladder.command("time")
@config_argument
@study_options
@json_option
def ladder_time(config: Path, as_json: bool, **options: Any) -> None:
    """Move time zero: from diagnosis, delayed entry, from the specimen, primaries only.

    For times to an event with predictors that became known after time zero. Prints Uno's C of what
    was known at time zero, of what came later and of both on every rung, and writes
    time_ladder.csv into the folder of the run.
    """
    from rich.console import Console

    from featurestore.errors import ConfigError
    from fusion.report.ladders import ladder_json, print_time_ladder, write_time_ladder

    study = open_study(config, **options)
    found = study.time_ladder()
    if found is None:
        raise ConfigError(
            "no time ladder to climb: it needs an outcome that is a time to an event, and a "
            "predictor that became known after its time zero; say when in a column's `measured`, "
            "in embeddings.measured or in cohort.images_measured"
        )
    path = write_time_ladder(found, study.paths.root)
    if as_json:
        click.echo(ladder_json(found), nl=False)
        return
    print_time_ladder(found, Console(soft_wrap=False))
    click.echo(f"numbers: {path}")


@ladder.command("linkage")
@config_argument
@study_options
@json_option
def ladder_linkage(config: Path, as_json: bool, **options: Any) -> None:
    """Untie a label-matched result: row folds, grouped folds, one to one, at random, alone.

    For a cohort with linkage label_matched.
    """
    from rich.console import Console

    from featurestore.errors import ConfigError
    from fusion.report.ladders import ladder_json, print_linkage_ladder

    found = open_study(config, **options).ladder()
    if found is None:
        raise ConfigError(
            "no linkage ladder to climb: cohort.linkage is not label_matched, so no row was lent"
        )
    if as_json:
        click.echo(ladder_json(found), nl=False)
        return
    print_linkage_ladder(found, Console(soft_wrap=False))
