"""Ladders by themselves, as commands print them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rich.console import Console

from featurestore.atomic import write_text
from featurestore.errors import DataError
from featurestore.plain import finite
from featurestore.tables import csv_text
from fusion.evaluation import Ladder, TimeLadder
from fusion.report.survival import time_ladder
from fusion.report.terminal import WIDTH, ladder_table


def ladder_json(ladder: Ladder | TimeLadder) -> str:
    """A ladder as indented JSON; numbers that are not defined are null."""
    record = finite(dataclasses.asdict(ladder))
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_time_ladder(ladder: TimeLadder, folder: Path) -> Path:
    """Writes `time_ladder.csv`, one row a rung and number.

    Raises:
        DataError: It cannot be written.
    """
    path = folder / "time_ladder.csv"
    try:
        write_text(path, csv_text(time_ladder.tidy(ladder)))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def print_time_ladder(ladder: TimeLadder, console: Console) -> None:
    """Prints what is compared, every rung, who is not on one, and how it was done."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(time_ladder.about(ladder), markup=False, highlight=False)
    for table in time_ladder.terminal(ladder):
        console.print()
        console.print(table, highlight=False)
    console.print()
    console.print(time_ladder.how(ladder), markup=False, highlight=False)


def print_linkage_ladder(ladder: Ladder, console: Console) -> None:
    """Prints every rung, the published claim first."""
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(ladder_table(ladder), highlight=False)
