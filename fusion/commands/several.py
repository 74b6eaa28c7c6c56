"""What commands do with several outcomes or runs. Heavy imports happen inside functions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fusion.evidence import Evidence, FinishedRun
    from fusion.study import Studies, Study

AUDIT_CODE = 3
"""Ends a command whose audit found what invalidates the numbers."""


def show_all(studies: Studies, make: Callable[[Study], Evidence], as_json: bool) -> None:
    """Makes the numbers of every study, prints them, and ends as the gravest of them ends.

    Of several outcomes one may fail: its error is printed, and the others go on. The page that
    compares them is written at the end.

    Args:
        studies: One, or one for each outcome.
        make: Makes the numbers of a study, and its report.
        as_json: Print nothing but JSON.

    Raises:
        MelafuseError: The only study failed, or the sources cannot be read.
    """
    from featurestore.errors import MelafuseError
    from fusion.evidence import read_table, share_folds

    if studies.is_several:
        _ = next(iter(studies)).source_cohorts.by_outcome  # fails once, and not for each of them
    found, tables, failed, codes = [], [], [], [0]
    for name, study in studies.by_outcome.items():
        try:
            evidence = make(study)
        except MelafuseError as error:
            if not studies.is_several:
                raise
            click.echo(f"melafuse: {name}: {error}", err=True)
            failed.append((name, str(error)))
            codes.append(error.exit_code)
            continue
        page = study.paths.report / "report.html"
        if not (as_json and studies.is_several):
            show(evidence, page, as_json)
        found.append((evidence, page))
        tables.append(read_table(study.paths.predictions))
        codes.append(exit_code(evidence))
    if studies.is_several and found:
        _compare(found, share_folds(tables), studies.comparison, as_json, failed)
    if max(codes):
        sys.exit(max(codes))


def report_all(root: Path, folders: Sequence[Path], out: Path | None, as_json: bool) -> Path:
    """Writes the reports of finished studies of several outcomes again, and the page of all.

    Args:
        root: Folder of the run.
        folders: Those of its studies.
        out: Where the page goes; `comparison` in the folder of the run by default.
        as_json: Print nothing but JSON.
    """
    from fusion.evidence import finished_run, read_table, share_folds
    from fusion.paths import RunPaths
    from fusion.report import write_report
    from fusion.study.several import COMPARISON

    found = []
    for folder in folders:
        paths = RunPaths(folder)
        run: FinishedRun = finished_run(paths)
        page = write_report(run.evidence, paths.report).html
        if not as_json:
            show(run.evidence, page, as_json)
        found.append((run.evidence, page))
    shares = share_folds(read_table(RunPaths(folder).predictions) for folder in folders)
    return _compare(found, shares, out or root / COMPARISON, as_json)


def compare_runs(
    found: Sequence[FinishedRun], runs: Sequence[Path], out: Path, as_json: bool
) -> Path:
    """Writes and prints the comparison of finished runs; returns the page."""
    from rich.console import Console

    from fusion.report.comparison import compare
    from fusion.report.comparison_page import comparison_json, write_comparison
    from fusion.report.terminal import print_comparison

    comparison = compare(found, [folder.resolve().name for folder in runs])
    page = write_comparison(comparison, out)
    if as_json:
        click.echo(comparison_json(comparison), nl=False)
    else:
        print_comparison(comparison, Console(soft_wrap=False))
        click.echo(f"comparison: {page}")
    return page


def show(evidence: Evidence, page: Path, as_json: bool) -> None:
    """Prints the numbers of one study."""
    from rich.console import Console

    from fusion.report.json import render_json
    from fusion.report.terminal import print_evidence

    if as_json:
        click.echo(render_json(evidence), nl=False)
        return
    print_evidence(evidence, Console(soft_wrap=False))
    click.echo(f"report: {page}")


def exit_code(evidence: Evidence) -> int:
    """As `audit` ends: numbers that mean nothing are no success."""
    invalid = evidence.audit is not None and evidence.audit.invalidated
    return AUDIT_CODE if invalid else 0


def _compare(
    found: Sequence[tuple[Evidence, Path]],
    shares_folds: bool,
    folder: Path,
    as_json: bool,
    failed: Sequence[tuple[str, str]] = (),
) -> Path:
    import os

    from rich.console import Console

    from fusion.report.json import render_json
    from fusion.report.outcomes import several_outcomes
    from fusion.report.outcomes_page import outcomes_json, print_outcomes, write_outcomes

    linked = [
        (evidence, Path(os.path.relpath(page, folder)).as_posix()) for evidence, page in found
    ]
    several = several_outcomes(linked, shares_folds, failed)
    page = write_outcomes(several, folder)
    if as_json:
        record: dict[str, Any] = json.loads(outcomes_json(several))
        record["studies"] = {e.run.outcome_name: json.loads(render_json(e)) for e, _ in found}
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        print_outcomes(several, Console(soft_wrap=False))
        click.echo(f"outcomes: {page}")
    return page
