"""The door: commands that parse, call one function of a room, and print what it returns.

Heavy imports happen inside commands, so that `melafuse --help` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featurestore.commands import store
from fusion.commands_bundle import predict, serve

if TYPE_CHECKING:
    from fusion.config import RunConfig
    from fusion.evidence import Evidence
    from fusion.report_inputs import FinishedRun
    from fusion.study import Study

EXIT_CODES = """\b
Exit codes: 0 done; 1 internal error; 2 wrong option or configuration; 3 the audit found what
invalidates the numbers; 4 wrong data;
5 damaged or incomplete store; 6 leakage refused; 7 weights not available; 130 interrupted."""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="melafuse")
def cli() -> None:
    """Embed lesion images once, iterate on fusion models in seconds, report honest numbers.

    For research. Not a medical device.
    """


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


@cli.command()
@config_argument
@study_options
@json_option
def run(config: Path, as_json: bool, **options: Any) -> None:
    """Do everything: cohort, extract, ablate, report, export.

    Every stage goes on from what is already valid and says what it reused.
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
    with _together(config, **options) as study:
        report = study.extract()
        _say(
            study,
            f"embedded {report.embedded}, reused {report.reused}, "
            f"quarantined {len(report.quarantined)} (see {study.store.root / 'quarantine.csv'})",
        )


@cli.command()
@config_argument
@study_options
def finetune(config: Path, **options: Any) -> None:
    """Train the encoders of every fold and embed all images with them.

    With several GPUs or machines: torchrun --nproc-per-node=4 -m cli finetune CONFIG
    """
    with _together(config, **options) as study:
        trained = len(study.finetune().history.groupby(["encoder", "repeat", "fold"], dropna=False))
        _say(study, f"{trained} encoders, see {study.paths.work / 'finetune.parquet'}")


@cli.command()
@config_argument
@study_options
def joint(config: Path, **options: Any) -> None:
    """Fit the joint networks by all processes of torchrun together; ablate takes them up.

    Without torchrun, ablate does the same by itself.
    """
    with _together(config, **options) as study:
        _say(study, f"{study.fit_joint()} joint networks fitted")


@cli.command()
@config_argument
@study_options
@json_option
def ablate(config: Path, as_json: bool, **options: Any) -> None:
    """Fit every arm on every fold; print the ablation table and write the report."""
    study = _open(config, **options)
    evidence = study.evidence(study.ablate())
    _show(evidence, study.report(evidence).html, as_json)


@cli.command()
@click.argument(
    "runs",
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
def report(runs: tuple[Path, ...], out: Path | None, in_browser: bool, as_json: bool) -> None:
    """Write the report of a finished run again, or compare several runs side by side.

    RUN is the folder of a run. Neither its source data nor its feature store are needed.
    """
    from fusion.paths import RunPaths
    from fusion.report import write_report
    from fusion.report_inputs import finished_run

    found = [finished_run(RunPaths(folder)) for folder in runs]
    if len(runs) == 1:
        page = write_report(found[0].evidence, out or RunPaths(runs[0]).report).html
        _show(found[0].evidence, page, as_json)
    else:
        page = _compare(found, runs, out or Path("comparison"), as_json)
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

    report = _open(config, **options).audit()
    if form == "json":
        click.echo(audit_json(report), nl=False)
    else:
        print_audit(report, Console(soft_wrap=False))
    if report.invalidated:
        sys.exit(3)


@cli.command()
@click.argument("source", metavar="CONFIG|RUN", type=click.Path(path_type=Path))
@study_options
@click.option(
    "--format", "formats", multiple=True, help="csv, parquet, dta, sav or xpt; may be repeated."
)
@click.option("--tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--embeddings", help="raw, none, pca:K (per fold) or pca-cohort:K (to describe).")
@click.option("--max-variables", type=int, help="Split wider tables.  [default: 2000]")
@click.option("--deidentify", is_flag=True, help="Pseudonyms, ages above 89, shifted dates.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="Key file for that.")
def export(source: Path, **options: Any) -> None:
    """Write tables for Stata, SPSS, SAS, R and others, with codebook and import scripts.

    RUN is the folder of a run, which is opened with its own configuration.
    """
    from fusion.export_options import export_config, export_summary, opened_run

    study_only = {k: options.pop(k) for k in ("quiet", "overrides", "data_root", "out")}
    config, folders = opened_run(source, study_only["out"], study_only["data_root"])
    study = _open(config, **study_only | folders)
    for line in export_summary(study.export(config=export_config(study.config.export, **options))):
        click.echo(line)


@cli.command()
@config_argument
@data_options
@run_folder("--run")
@click.option(
    "--out",
    "bundle",
    required=True,
    type=click.Path(path_type=Path),
    help="Where the bundle goes: a folder, or a file that ends with .zip. It must not exist.",
)
@click.option(
    "--arm",
    "arms",
    multiple=True,
    metavar="ARM",
    help="Arm of the study; the first gives the probability.  [default: the reference arm, and the "
    "widest LightGBM beside it]",
)
@click.option(
    "--replicates",
    default=20,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="Bootstrap replicates that intervals are made of.",
)
def fit(config: Path, bundle: Path, arms: tuple[str, ...], replicates: int, **options: Any) -> None:
    """Fit the final system on all patients and write it as a bundle."""
    from fusion.bundle.make import fit_bundle

    study = _open(config, **options)
    made = fit_bundle(study, bundle, arms, replicates)
    click.echo(f"bundle {made.short}: {bundle}")


@cli.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@config_argument
@study_options
def evaluate(bundle: Path, config: Path, **options: Any) -> None:
    """Validate a bundle on the cohort of CONFIG, as it is: nothing is fitted.

    Writes external.csv, refused.csv and the predictions into the folder of --out.
    """
    from rich.console import Console

    from fusion.external import validate, write_validation
    from fusion.predict import Predictor
    from fusion.report.external import print_validation

    study = _open(config, **options)
    draws, seed = study.config.ablation.bootstrap_draws, study.config.seed
    found = validate(Predictor.load(bundle), study.source_cohort, draws, seed, study.progress)
    print_validation(found, Console(soft_wrap=False))
    for path in write_validation(found, study.paths.root / "external"):
        click.echo(str(path))


@cli.command()
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
    required=True,
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
def init(images: tuple[Path, ...], tables: tuple[Path, ...], out: Path) -> None:
    """Look at images and tables, and write a commented configuration to start from.

    It says what was guessed and why, and what could not be guessed. Nothing is overwritten.
    """
    from fusion.starter import propose, summary, write_proposal

    proposal = propose(tables, images, out)
    write_proposal(proposal, out)
    for line in summary(proposal, out):
        click.echo(line)


@cli.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False), required=False)
@study_options
def doctor(config: Path | None, quiet: bool, overrides: tuple[str, ...], **folders: Any) -> None:
    """Check machine, data, weights, disk and store before a long run. Needs no network.

    Ends with exit code 0, or 1 if a check fails. --quiet prints only what needs attention.
    """
    from fusion.doctor import examine

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


@cli.group()
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

    from fusion.describe import describe, print_description, to_csv, to_json

    description = describe(_open(config, **options).source_cohort)
    if form == "text":
        print_description(description, Console(soft_wrap=False))
    else:
        click.echo((to_json if form == "json" else to_csv)(description).rstrip("\n"))


for command in (store, predict, serve):
    cli.add_command(command)


def main() -> None:
    """Runs the command line and turns errors into one line and an exit code."""
    from featurestore.errors import MelafuseError

    try:
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


def _open(config: Path, overrides: tuple[str, ...], **rest: Any) -> Study:
    """Opens a study for this process."""
    from featurestore.errors import ConfigError

    if os.environ.get("WORLD_SIZE", "1") != "1":
        name = click.get_current_context().info_name
        raise ConfigError(f"{name} works in one process: torchrun is for extract, finetune, joint")
    return _study(_load(config, overrides), config, **rest)


@contextlib.contextmanager
def _together(config: Path, overrides: tuple[str, ...], **rest: Any) -> Iterator[Study]:
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
    **workers: Any,
) -> Study:
    from featurestore.progress import SILENT
    from featurestore.terminal import TerminalProgress
    from fusion.study import Study

    progress = SILENT if quiet else TerminalProgress()
    click.get_current_context().call_on_close(progress.finish)
    folder = config.parent if data_root is None else data_root
    return Study(loaded, out or Path("runs") / loaded.name, folder, progress, **workers)


def _say(study: Study, text: str) -> None:
    """Prints in the first of several processes."""
    if study.workers.is_first:
        click.echo(text)


def _run(config: Path, as_json: bool, **options: Any) -> None:
    study = _open(config, **options)
    evidence = study.run()
    _show(evidence, study.paths.report / "report.html", as_json)


def _show(evidence: Evidence, page: Path, as_json: bool) -> None:
    from rich.console import Console

    from fusion.report.json import render_json
    from fusion.report.terminal import print_evidence

    if as_json:
        click.echo(render_json(evidence), nl=False)
        return
    print_evidence(evidence, Console(soft_wrap=False))
    click.echo(f"report: {page}")


def _compare(found: list[FinishedRun], runs: tuple[Path, ...], out: Path, as_json: bool) -> Path:
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
