"""Commands that work on a bundle. Heavy imports happen inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fusion.commands.options import (
    config_argument,
    data_options,
    open_study,
    run_folder,
    study_options,
)

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, mps, cuda or cuda:N."
)


@click.command()
@bundle_argument
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="Image of the patient, or a folder of images; may be repeated.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="How an image was taken (dermoscopic): one for each --image, or one for all. For bundles "
    "that tell roles apart; a table says it in a column image_role.",
)
@click.option(
    "--metadata",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON, CSV, TSV or Parquet: one patient or a table of them.",
)
@click.option("--format", "form", type=click.Choice(["json", "csv"]), default="json")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for the scores; the same command goes on where it was interrupted.",
)
@click.option(
    "--explain",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for Grad-CAM overlays and a chart of contributions of each patient.",
)
@device_option
@click.option("--quiet", "-q", is_flag=True, help="No progress, only results and errors.")
def predict(
    bundle: Path,
    form: str,
    out: Path | None,
    explain: Path | None,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Score one patient, or a folder or table of thousands.

    Needs an image, metadata, or both. For research use only; not a medical device.
    """
    from featurestore.errors import DataError
    from featurestore.progress import SILENT
    from featurestore.terminal import TerminalProgress
    from fusion.predict import Predictor
    from fusion.predict.explain import explainer
    from fusion.predict.reading import read_cases
    from fusion.predict.stream import score_all, to_text, write_all

    progress = SILENT if quiet else TerminalProgress()
    click.get_current_context().call_on_close(progress.finish)
    predictor = Predictor.load(bundle, device)
    found = read_cases(predictor.bundle.record, **given)
    for note in found.notes:
        click.echo(f"melafuse: {note}", err=True)
    seen = None if explain is None else explainer(predictor, explain)
    if out is not None:
        failed = write_all(predictor, found.cases, out, form, progress, seen)
    else:
        failed, head = 0, True
        for records in score_all(predictor, found.cases, progress, seen):
            failed += sum("error" in record for record in records)
            if found.single and failed:
                raise DataError(records[0]["error"])
            click.echo(to_text(records, form, predictor.scoring, head, found.single), nl=False)
            head = False
    if failed:
        raise DataError(
            f"{failed} of {predictor.bundle.record.noun.counted(len(found.cases))} could not be "
            "scored; `error` says why"
        )


@click.command()
@bundle_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the token that requests must carry; or set MELAFUSE_TOKEN. Required on any "
    "address but this machine's own.",
)
@click.option("--max-upload-mb", default=30.0, show_default=True, type=click.FloatRange(0.01, 1000))
@click.option(
    "--max-megapixels", default=60.0, show_default=True, type=click.FloatRange(0.01, 1000)
)
@click.option(
    "--queue",
    default=32,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Requests that may wait; more are answered 503.",
)
@device_option
def serve(bundle: Path, host: str, port: int, token_file: Path | None, **limits: Any) -> None:
    """Serve a bundle on this machine: a page, and an API beside it.

    For research use only; not a medical device.
    """
    from fusion.serve.run import run_server

    run_server(bundle, host, port, token_file, **limits)


@click.command()
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
    help="Arm of the study; the first gives the score.  [default: the baseline, and the "
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

    study = open_study(config, **options)
    made = fit_bundle(study, bundle, arms, replicates)
    click.echo(f"bundle {made.short}: {bundle}")


@click.command()
@bundle_argument
@config_argument
@click.option(
    "--other-outcome",
    is_flag=True,
    help="The cohort's outcome may be another one of the same kind.",
)
@study_options
def evaluate(bundle: Path, config: Path, other_outcome: bool, **options: Any) -> None:
    """Validate a bundle on the cohort of CONFIG, as it is: nothing is fitted.

    Writes external.csv, refused.csv and the predictions into the folder of --out.
    """
    from rich.console import Console

    from fusion.predict import Predictor
    from fusion.predict.external import validate, write_validation
    from fusion.predict.external_text import print_validation

    study = open_study(config, **options)
    draws, seed = study.config.ablation.bootstrap_draws, study.config.seed
    cohort, predictor = study.source_cohort, Predictor.load(bundle)
    found = validate(predictor, cohort, draws, seed, study.progress, other_outcome)
    print_validation(found, Console(soft_wrap=False))
    for path in write_validation(found, study.paths.root / "external"):
        click.echo(str(path))
