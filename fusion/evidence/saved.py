"""What a report is made from, beside the predictions: saved with a run, and read without its data.

The tables of a run's folder are not copied. `work/report.json` names them by digest, so that a
report is never made from parts of two runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pydantic

from featurestore.cohort import Cohort
from featurestore.config import load_config
from featurestore.errors import DataError
from featurestore.plain import plain
from featurestore.sealed import (
    read_sealed,
    read_sealed_table,
    read_sealed_text,
    write_sealed_text,
)
from featurestore.tables import DataDictionary
from featurestore.units import as_kept
from fusion.audit.saved import SavedResult, restore, save
from fusion.config import RunConfig
from fusion.endpoints import find_endpoint
from fusion.evaluation import Ladder, PatientOverlay, TimeLadder, read_overlays, read_predictions
from fusion.evaluation.records import read_records, read_seconds
from fusion.evidence.about import RunFacts
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.kept import kept_or_collected
from fusion.evidence.types import Evidence
from fusion.paths import RunPaths

VERSION = 4
MAX_BYTES = 100_000_000

COHORT_TABLES = ("images", "patients", "exclusions")
HISTORIES = {"history": "history.parquet", "encoder_history": "finetune.parquet"}
"""Fields of `ReportInputs` that are tables, and their files under `work/`."""


@dataclasses.dataclass(frozen=True)
class _Saved:
    """Content of `work/report.json`.

    Attributes:
        version: `VERSION` of who wrote it.
        files: SHA-256 of each table by its path in the run's folder.
    """

    version: int
    run: RunFacts
    baseline: str
    draws: int
    seed: int
    audit: tuple[SavedResult, ...] | None
    ladder: Ladder | None
    files: dict[str, str]
    time_ladder: TimeLadder | None = None


def save_inputs(inputs: ReportInputs, paths: RunPaths) -> None:
    """Writes `work/report.json`; predictions, cohort and curves must lie in the folder by now.

    Raises:
        DataError: The file cannot be written, or one of the others cannot be read.
    """
    tables = [paths.predictions, *_cohort_files(paths)]
    tables += [paths.choices] if paths.choices.exists() else []
    tables += [paths.overlays] if inputs.overlays else []
    tables += [paths.work / file for name, file in HISTORIES.items() if len(getattr(inputs, name))]
    saved = _Saved(
        version=VERSION,
        run=inputs.run,
        baseline=inputs.baseline,
        draws=inputs.draws,
        seed=inputs.seed,
        audit=None if inputs.audit is None else save(inputs.audit),
        ladder=inputs.ladder,
        time_ladder=inputs.time_ladder,
        files=_digests(tables, paths.root),
    )
    text = json.dumps(plain(saved), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        write_sealed_text(paths.report_inputs, text + "\n")
    except OSError as error:
        raise DataError(f"cannot write {paths.report_inputs}: {error.strerror or error}") from None


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run as its folder tells it.

    Attributes:
        evidence: Its numbers.
        patients_digest: SHA-256 of who was predicted, with their outcomes; of runs that share it
            the patients are the same.
        folds_digest: The same of who was predicted in which repeat and fold.
        config: Its configuration.
        inputs: What its numbers are made from.
        predictions: The predictions table.
    """

    evidence: Evidence
    patients_digest: str
    folds_digest: str
    config: RunConfig | None = None
    inputs: ReportInputs | None = None
    predictions: pd.DataFrame | None = None


def finished_run(paths: RunPaths) -> FinishedRun:
    """Makes a finished run's evidence again, from its folder alone.

    Raises:
        DataError: The folder holds no finished run, or its tables changed since.
        ConfigError: Its configuration cannot be read.
    """
    saved = _read_saved(paths)
    _require_unchanged(saved.files, paths)
    config = load_own_config(paths)
    inputs = ReportInputs(
        run=saved.run,
        cohort=_read_cohort(saved.run, config, paths),
        baseline=saved.baseline,
        draws=saved.draws,
        seed=saved.seed,
        audit=None if saved.audit is None else restore(saved.audit),
        ladder=saved.ladder,
        time_ladder=saved.time_ladder,
        fits=read_records(paths.choices),
        config=config.ablation,
        overlays=_read_overlays(saved.files, paths),
        seconds=read_seconds(paths.work),
        **{name: _read_history(file, saved.files, paths) for name, file in HISTORIES.items()},
    )
    kind = inputs.cohort.outcome.kind
    predictions = read_predictions(read_table(paths.predictions), kind)
    evidence = kept_or_collected(inputs, predictions, made_of(paths), paths.evidence)
    columns = find_endpoint(kind).predictions  # first what is known, then what is predicted
    known = list(itertools.takewhile(lambda column: column != "score", columns))
    return FinishedRun(
        evidence,
        _rows_digest(predictions, ["patient_id", *known]),
        _rows_digest(predictions, ["patient_id", *known, "repeat", "fold"]),
        config,
        inputs,
        predictions,
    )


def made_of(paths: RunPaths) -> str:
    """Names what the evidence of a run is made of, but for `ablation` and the command.

    Raises:
        DataError: The folder holds no finished run.
        ConfigError: Its configuration cannot be read.
    """
    record = plain(_read_saved(paths))
    del record["run"]["command"]
    studied = load_own_config(paths).model_dump(mode="json", include={"name", "cohort"})
    text = json.dumps([record, studied], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def command_of(paths: RunPaths) -> str | None:
    """The command that made the report of a run; None where there is none to be read."""
    try:
        return facts_of(paths).command
    except DataError:
        return None


def facts_of(paths: RunPaths) -> RunFacts:
    """What was run for the report that is there.

    Raises:
        DataError: The folder holds no finished run.
    """
    return _read_saved(paths).run


def has_time_ladder(paths: RunPaths) -> bool:
    """Whether a time ladder was climbed for the report of a run.

    Raises:
        DataError: The folder holds no finished run.
    """
    return _read_saved(paths).time_ladder is not None


def load_own_config(paths: RunPaths) -> RunConfig:
    """The configuration that a run left in its folder.

    Raises:
        ConfigError: It cannot be read.
        DataError: It is damaged, or was edited: it would no longer be that of the run.
    """
    try:
        read_sealed(paths.config, _again(paths))
    except OSError as error:
        raise DataError(f"cannot read {paths.config}: {error.strerror or error}") from None
    return load_config(RunConfig, paths.config)


def _read_saved(paths: RunPaths) -> _Saved:
    path = paths.report_inputs
    try:
        record = json.loads(read_sealed_text(path, _again(paths), MAX_BYTES))
        if not isinstance(record, dict) or record.get("version") != VERSION:
            raise DataError(f"{path} is of another version of melafuse; {_again(paths)}")
        return pydantic.TypeAdapter(_Saved).validate_python(record)
    except FileNotFoundError:
        raise DataError(
            f"{paths.root} is no folder of a finished run: it has no work/{path.name}; "
            f"{_again(paths)}"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg'].lower()}; {_again(paths)}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path} is not JSON; {_again(paths)}") from None


def _again(paths: RunPaths) -> str:
    return f"`melafuse ablate CONFIG --out {paths.root}` makes the report anew"


def _require_unchanged(files: dict[str, str], paths: RunPaths) -> None:
    known = {p.relative_to(paths.root).as_posix() for p in _all_tables(paths)}
    if not files.keys() <= known:
        raise DataError(f"{paths.report_inputs} names files that a run does not have")
    now = _digests([paths.root / name for name in files], paths.root)
    changed = [name for name, digest in files.items() if now[name] != digest]
    if changed:
        raise DataError(
            f"{paths.root / changed[0]} changed since the report was made; {_again(paths)}"
        )


def _read_cohort(run: RunFacts, config: RunConfig, paths: RunPaths) -> Cohort:
    outcome = dataclasses.replace(
        config.cohort.find_outcome(),
        name=run.outcome_name,
        definition=run.outcome_definition,
        as_of=run.as_of,
        caveats=run.caveats,
    )
    try:
        records = json.loads(read_sealed_text(paths.cohort / "dictionary.json", _again(paths)))
        dictionary = DataDictionary.from_records(records)
    except (OSError, ValueError, TypeError, AttributeError):
        raise DataError(f"cannot read {paths.cohort / 'dictionary.json'}") from None
    read = read_cohort_tables(paths)
    images, patients, exclusions = map(as_kept, read) if run.observed == "lesion" else read
    return Cohort(
        name=config.name,
        outcome=outcome,
        images=images,
        patients=patients,
        dictionary=dictionary,
        exclusions=exclusions,
        linkage=run.linkage,
        synthetic=run.synthetic,
        notes=run.notes,
        facts=run.facts,
        unit=run.observed,
    )


def _read_history(file: str, files: dict[str, str], paths: RunPaths) -> pd.DataFrame:
    path = paths.work / file
    known = path.relative_to(paths.root).as_posix() in files
    return read_table(path) if known else pd.DataFrame()


def _read_overlays(files: dict[str, str], paths: RunPaths) -> tuple[PatientOverlay, ...]:
    if paths.overlays.relative_to(paths.root).as_posix() not in files:
        return ()
    found = read_overlays(paths.overlays)
    if found is None:
        raise DataError(f"cannot read {paths.overlays}; {_again(paths)}")
    return found


def read_cohort_tables(paths: RunPaths) -> tuple[pd.DataFrame, ...]:
    """Images, patients and exclusions of a run.

    Raises:
        DataError: One is absent or damaged.
    """
    return tuple(read_table(paths.cohort / f"{name}.parquet") for name in COHORT_TABLES)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of a run's folder.

    Raises:
        DataError: It is absent or damaged.
    """
    try:
        return read_sealed_table(path, "`melafuse ablate` makes it anew")
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {error.strerror or error}") from None


def _rows_digest(table: pd.DataFrame, columns: list[str]) -> str:
    rows = table[columns].drop_duplicates().sort_values(columns)
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def _all_tables(paths: RunPaths) -> list[Path]:
    histories = [paths.work / file for file in HISTORIES.values()]
    return [paths.predictions, paths.choices, paths.overlays, *_cohort_files(paths), *histories]


def _cohort_files(paths: RunPaths) -> list[Path]:
    tables = [paths.cohort / f"{name}.parquet" for name in COHORT_TABLES]
    return [*tables, paths.cohort / "dictionary.json"]


def _digests(files: Iterable[Path], root: Path) -> dict[str, str]:
    found = {}
    for path in files:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
        found[path.relative_to(root).as_posix()] = hashlib.sha256(content).hexdigest()
    return found
