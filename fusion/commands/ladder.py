"""Commands that climb a ladder alone: what a result is made of, rung by rung."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from fusion.commands.options import config_argument, json_option, open_study, study_options


@click.group()
def ladder() -> None:
    """Show what a result is made of: the same model, one doubtful habit less on every rung.

    A run climbs both by itself where they apply, and its report has them.
    """


@ladder.command("time")
@config_argument
@study_options
@json_option
def ladder_time(config: Path, as_json: bool, **options: Any) -> None:
    """Move time zero: from diagnosis, with delayed entry, from the specimen, primaries only.

    For times to an event with predictors that became known after time zero. Prints Uno's C of what
    was known at time zero, of what came later and of both on every rung, and writes
    time_ladder.csv into the folder of the run.
    """
    import dataclasses

    from rich.console import Console

    from featurestore.atomic import write_text
    from featurestore.errors import ConfigError
    from featurestore.plain import finite
    from featurestore.tables import csv_text
    from fusion.report.survival import time_ladder

    study = open_study(config, **options)
    found = study.time_ladder()
    if found is None:
        raise ConfigError(
            "no time ladder to climb: it needs an outcome that is a time to an event, and a "
            "predictor that became known after its time zero; say when in a column's `measured`, "
            "in embeddings.measured or in cohort.images_measured"
        )
    path = study.paths.root / "time_ladder.csv"
    write_text(path, csv_text(time_ladder.tidy(found)))
    if as_json:
        click.echo(json.dumps(finite(dataclasses.asdict(found)), indent=2, ensure_ascii=False))
        return
    console = Console(soft_wrap=False)
    console.width = min(console.width, 100) if console.is_terminal else 100
    console.print(time_ladder.about(found), markup=False, highlight=False)
    for table in time_ladder.terminal(found):
        console.print()
        console.print(table, highlight=False)
    console.print()
    console.print(time_ladder.how(found), markup=False, highlight=False)
    click.echo(f"numbers: {path}")


@ladder.command("linkage")
@config_argument
@study_options
@json_option
def ladder_linkage(config: Path, as_json: bool, **options: Any) -> None:
    """Untie a label-matched result: folds over rows, grouped, one to one, at random, alone.

    For a cohort with linkage label_matched.
    """
    import dataclasses

    from rich.console import Console

    from featurestore.errors import ConfigError
    from featurestore.plain import finite
    from fusion.report.terminal import ladder_table

    found = open_study(config, **options).ladder()
    if found is None:
        raise ConfigError(
            "no linkage ladder to climb: cohort.linkage is not label_matched, so no row was lent"
        )
    if as_json:
        click.echo(json.dumps(finite(dataclasses.asdict(found)), indent=2, ensure_ascii=False))
        return
    console = Console(soft_wrap=False)
    console.width = min(console.width, 100) if console.is_terminal else 100
    console.print(ladder_table(found), highlight=False)
