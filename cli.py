"""The door: commands that parse, call one function of a room, and print what it returns.

Heavy imports happen inside commands, so that `melafuse --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fusion.commands.bundle import evaluate, fit, predict, serve
from fusion.commands.ladder import ladder
from fusion.commands.options import (
    config_argument,
    json_option,
    open_studies,
    open_together,
    say,
    study_options,
)
from fusion.commands.publish import publish
from fusion.commands.runs import runs
from fusion.commands.several import AUDIT_CODE, compare_runs, report_all, show, show_all
from fusion.commands.start import cohort, doctor, init
from fusion.commands.store import store

if TYPE_CHECKING:
    from fusion.evidence import Evidence
    from fusion.study import Study

EXIT_CODES = """\b
Exit codes: 0 done; 1 internal error; 2 wrong option or configuration; 3 the audit found what
invalidates the numbers; 4 wrong data, or a disk that fails;
5 damaged or incomplete store; 6 leakage refused; 7 weights not available; 130 interrupted;
143 terminated."""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="melafuse")
def cli() -> None:
    """Embed lesion images once, iterate on fusion models in seconds, report honest numbers.

    For research. Not a medical device.
    """


@cli.command()
@config_argument
@study_options
@json_option
def run(config: Path, as_json: bool, **options: Any) -> None:
    """Do everything: cohort, extract, ablate, report, export.

    Every stage goes on from what is already valid and says what it reused. All is written, and then
    ends with exit code 3, where the audit found what invalidates the numbers.
    """
    _run(config, as_json, **options)


@cli.command()
@study_options
@json_option
def demo(as_json: bool, **options: Any) -> None:
    """Run the demonstration on a synthetic cohort (configs/demo.yaml)."""
    _run(_shipped_config("demo.yaml"), as_json, **options)


@cli.command()
@config_argument
@study_options
def extract(config: Path, **options: Any) -> None:
    """Embed every image that the feature store does not have yet."""
    with open_together(config, **options) as studies:
        for study in studies:
            report = study.extract()
            say(
                study,
                f"embedded {report.embedded}, reused {report.reused}, quarantined "
                f"{len(report.quarantined)} (see {study.store.root / 'quarantine.csv'})",
            )


@cli.command()
@config_argument
@study_options
def finetune(config: Path, **options: Any) -> None:
    """Train the encoders of every fold and embed all images with them.

    With several GPUs or machines: torchrun --nproc-per-node=4 -m cli finetune CONFIG
    """
    with open_together(config, **options) as studies:
        for study in studies:
            from featurestore.units import counted

            history = study.finetune().history
            trained = len(history.groupby(["encoder", "repeat", "fold"], dropna=False))
            say(
                study, f"{counted(trained, 'encoder')}, see {study.paths.work / 'finetune.parquet'}"
            )


@cli.command()
@config_argument
@study_options
def joint(config: Path, **options: Any) -> None:
    """Fit the joint networks by all processes of torchrun together; ablate takes them up.

    Without torchrun, ablate does the same by itself.
    """
    with open_together(config, **options) as studies:
        for study in studies:
            say(study, f"{study.fit_joint()} joint networks fitted")


@cli.command()
@config_argument
@study_options
@json_option
def ablate(config: Path, as_json: bool, **options: Any) -> None:
    """Fit every arm on every fold; print the ablation table and write the report.

    Ends with exit code 3 where the audit found what invalidates the numbers.
    """

    def ablated(study: Study) -> Evidence:
        evidence = study.evidence(study.ablate())
        study.keep_report(evidence)
        return evidence

    show_all(open_studies(config, **options), ablated, as_json)


@cli.command()
@click.argument(
    "folders",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the report.  [default: RUN/report; of several runs: comparison]",
)
@click.option("--open", "in_browser", is_flag=True, help="Open the page in the browser.")
@json_option
def report(folders: tuple[Path, ...], out: Path | None, in_browser: bool, as_json: bool) -> None:
    """Write the report of a finished run again, or compare several runs side by side.

    RUN is the folder of a run. Neither its source data nor its feature store are needed.
    """
    from fusion.evidence import finished_run
    from fusion.paths import RunPaths
    from fusion.report import write_report
    from fusion.study.several import folders_of

    several = folders_of(folders[0]) if len(folders) == 1 else ()
    if several:
        page = report_all(folders[0], several, out, as_json)
        if in_browser:
            _open_page(page)
        return
    found = [finished_run(RunPaths(folder)) for folder in folders]
    if len(folders) == 1:
        page = write_report(found[0].evidence, out or RunPaths(folders[0]).report).html
        show(found[0].evidence, page, as_json)
    else:
        page = compare_runs(found, folders, out or Path("comparison"), as_json)
    if in_browser:
        _open_page(page)


@cli.command()
@config_argument
@study_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def audit(config: Path, form: str, **options: Any) -> None:
    """Check folds, columns, provenance, fits and numbers for leaks and shortcuts.

    Before a run the checks of cohort and folds look; after one all do. Ends with exit code 3 if a
    check of severity "invalidates" fires, so that it can gate a pipeline.
    """
    from rich.console import Console

    from fusion.report.audit import audit_json, print_audit

    studies = open_studies(config, **options)
    reports = {name: study.audit() for name, study in studies.by_outcome.items()}
    if form == "json":
        click.echo(audit_json(reports), nl=False)
    else:
        for name, report in reports.items():
            if studies.is_several:
                click.echo(f"\n{name}")
            print_audit(report, Console(soft_wrap=False))
    if any(report.invalidated for report in reports.values()):
        sys.exit(AUDIT_CODE)


@cli.command()
@config_argument
@study_options
@click.option(
    "--format", "formats", multiple=True, help="csv, parquet, dta, sav or xpt; may be repeated."
)
@click.option("--tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--embeddings", help="raw, none, pca:K (per fold) or pca-cohort:K (to describe).")
@click.option("--max-variables", type=int, help="Split wider tables.  [default: 2000]")
@click.option("--deidentify", is_flag=True, help="Pseudonyms, ages above 89, shifted dates.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Key file for that.")
def export(config: Path, **options: Any) -> None:
    """Write tables for Stata, SPSS, SAS, R and others, with codebook and import scripts.

    RUN is the folder of a run, which is opened with its own configuration and only read; --out is
    then the folder of the export.  [default: RUN/export]
    """
    from fusion.export.options import export_config, export_summary

    study_only = {k: options.pop(k) for k in ("quiet", "overrides", "data_root", "out")}
    run = config.is_dir()
    folder = study_only["out"] if run else None
    study_only |= {"out": None} if run else {}
    for study in open_studies(config, reads_only=run, **study_only):
        chosen = export_config(study.config.export, **options)
        for line in export_summary(study.export(config=chosen, folder=folder)):
            click.echo(line)


for command in (init, doctor, cohort, store, runs, ladder, fit, evaluate, predict, serve, publish):
    cli.add_command(command)


class _Terminated(BaseException):
    """SIGTERM came."""


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends at once
    raise _Terminated


def _restrict_files() -> None:
    from featurestore.errors import ConfigError

    text = os.environ.get("MELAFUSE_UMASK", "")
    try:
        mask = int(text or "0", 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ConfigError(f"MELAFUSE_UMASK={text!r}: write it in octal, for example 027")
    given = os.umask(0o077)
    os.umask(mask if text else given | 0o077)


def main() -> None:
    """Runs the command line and turns errors into one line and an exit code.

    What it writes is for the person who runs it only, because most of it is about patients;
    `MELAFUSE_UMASK` (octal, as of `umask`) says otherwise.
    """
    from featurestore.disk import disk_line
    from featurestore.errors import DataError, MelafuseError

    signal.signal(signal.SIGTERM, _terminate)
    try:
        _restrict_files()
        cli.main(prog_name="melafuse", standalone_mode=False)
    except MelafuseError as error:
        click.echo(f"melafuse: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("melafuse: interrupted; the same command goes on from here", err=True)
        sys.exit(130)
    except _Terminated:
        click.echo("melafuse: terminated; the same command goes on from here", err=True)
        sys.exit(143)
    except Exception as error:
        line = disk_line(error)
        if line is None:
            raise
        click.echo(f"melafuse: {line}", err=True)
        sys.exit(DataError.exit_code)


def _run(config: Path, as_json: bool, **options: Any) -> None:
    show_all(open_studies(config, **options), lambda study: study.run(), as_json)


def _open_page(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        click.echo(f"melafuse: no browser opens here; the page is {page}", err=True)


def _shipped_config(name: str) -> Path:
    """Finds a configuration beside this file (a checkout) or under the installation."""
    beside = Path(__file__).parent / "configs" / name
    return beside if beside.exists() else Path(sys.prefix) / "share" / "melafuse" / name


if __name__ == "__main__":
    main()
