"""External validation: a bundle on another cohort, as it is, with nothing refitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from featurestore.atomic import replacing, write_text
from featurestore.cohort import Cohort, patient_groups, roles_of_images
from featurestore.errors import ConfigError, DataError
from featurestore.outcomes import Outcome
from featurestore.progress import SILENT, Progress
from featurestore.tables import csv_text
from featurestore.units import Counted, count_observations, counted
from fusion.bundle.record import BundleRecord, FittedRecord
from fusion.evaluation import predictions_table
from fusion.metrics import Estimate
from fusion.predict.cases import ENTRY_DAYS, Case
from fusion.predict.measuring import Measuring, measuring_of
from fusion.predict.predictor import Predictor

CHUNK = 64
DESIGN = "external"


@dataclasses.dataclass(frozen=True)
class ArmValidation:
    """One arm of a bundle on the other cohort.

    Attributes:
        arm: Its name.
        metrics: On the other cohort, by name.
        cross_validated: The same in the study that the bundle is of, where it says so.
    """

    arm: str
    metrics: dict[str, Estimate]
    cross_validated: dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class ExternalValidation:
    """A bundle on another cohort.

    Attributes:
        bundle: Short id of the bundle.
        predicts: Name of the outcome that the bundle predicts.
        outcome: Name of the cohort's outcome.
        n: Patients, or lesions, that were scored.
        events: Those with the outcome.
        refused: Patients who could not be scored, with the reason.
        absent: Inputs of the bundle that the cohort does not have.
        arms: One an arm of the bundle.
        predictions: The predictions table, of design `external`.
        measuring: How it was measured.
        observed: How many observations the cohort has, of how many people.
        clusters: Groups that the bootstrap drew.
    """

    bundle: str
    predicts: str
    outcome: str
    n: int
    events: int
    refused: dict[str, str]
    absent: tuple[str, ...]
    arms: tuple[ArmValidation, ...]
    predictions: pd.DataFrame
    measuring: Measuring
    observed: Counted
    clusters: int


def validate(
    predictor: Predictor,
    cohort: Cohort,
    draws: int,
    seed: int,
    progress: Progress = SILENT,
    other_outcome: bool = False,
) -> ExternalValidation:
    """Scores every patient of a cohort with a bundle and measures how well it does.

    Thresholds and calibration are those of the bundle. A bundle holds no patient of its training,
    so that nobody of them is in the other cohort is for the user to know.

    Args:
        predictor: The bundle.
        cohort: The other cohort; its columns are found by the names that the bundle gives them.
        draws: Bootstrap draws, of patients or of what copies of images tie together.
        seed: Of the draws.
        progress: Listener.
        other_outcome: Whether the cohort's outcome may be another one of the same kind.

    Raises:
        ConfigError: The cohort is of another outcome.
        DataError: No patient could be scored, or nothing can be measured on those who were.
    """
    record = predictor.bundle.record
    _require_outcome(record, cohort.outcome, other_outcome)
    _require_unit(record, cohort)
    measuring = measuring_of(record)
    wanted = [column.name for column in record.inputs]
    absent = tuple(name for name in wanted if name not in cohort.patients.columns)
    refused: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    known = {str(row["patient_id"]): row for row in cohort.patients.to_dict("records")}
    progress.start("evaluate", cohort.n_patients)
    for chunk in _chunks(_cases(predictor, cohort, measuring, refused)):
        prepared = []
        for case in chunk:
            try:
                prepared.append(predictor.prepare(case))
            except DataError as error:
                refused[case.patient_id] = str(error)
        for prediction in predictor.score(prepared):
            for score in (prediction.score, *prediction.others):
                about = measuring.row(score, known[prediction.patient_id])
                rows.append({"arm": score.arm, "patient_id": prediction.patient_id, **about})
        progress.advance(len(chunk))
    unseen = len(cohort.pictures) - len(_pictures(predictor, cohort))
    told = f"; {counted(unseen, 'image')} of other roles not looked at" if unseen else ""
    measured = cohort.noun.counted(cohort.n_patients - len(refused))
    progress.finish(f"evaluate: {measured} scored{told}")
    if not rows:
        first = next(iter(refused.values()), f"the cohort has no {cohort.noun.many}")
        raise DataError(f"no {cohort.noun.one} could be scored: {first}")
    table = _table(rows, record.models, record.name, cohort.outcome.kind)
    first_arm = table[table["arm"] == record.models[0].arm]
    events = measuring.events(first_arm)
    groups = patient_groups(cohort.patients, cohort.images)
    there = cohort.patients["patient_id"].isin(first_arm["patient_id"])
    scored = count_observations(cohort.patients[there], cohort.unit)
    return ExternalValidation(
        predictor.bundle.short,
        record.outcome.name,
        cohort.outcome.name,
        len(first_arm),
        events,
        refused,
        absent,
        tuple(
            ArmValidation(
                model.arm,
                measuring.metrics(table[table["arm"] == model.arm], model, groups, draws, seed),
                _cross_validated(model),
            )
            for model in record.models
        ),
        cohort.for_people(table),
        measuring,
        scored,
        len({groups[i] for i in first_arm["patient_id"]}),
    )


def _require_outcome(record: BundleRecord, outcome: Outcome, other_outcome: bool) -> None:
    """Refuses another outcome, or, where that is meant, one of another kind.

    Raises:
        ConfigError: So it is.
    """
    predicted = record.outcome.name
    if outcome.kind != record.kind:
        raise ConfigError(
            f"the bundle predicts {predicted!r}, of the kind {record.kind!r}; the cohort's outcome "
            f"{outcome.name!r} is of the kind {outcome.kind!r}, on which it cannot be measured"
        )
    if outcome.name != predicted and not other_outcome:
        raise ConfigError(
            f"the bundle predicts {predicted!r}, the cohort's outcome is {outcome.name!r}; set "
            f"cohort.outcome to the bundle's, or say --other-outcome if you mean it"
        )


def _require_unit(record: BundleRecord, cohort: Cohort) -> None:
    """Refuses patients where lesions are scored, and the other way round.

    Raises:
        ConfigError: So it is.
    """
    if record.cohort.observed != cohort.unit:
        raise ConfigError(
            f"the bundle scores {record.noun.many}, and the cohort has {cohort.noun.many}; set "
            f"cohort.unit: {record.cohort.observed}"
        )


def write_validation(found: ExternalValidation, folder: Path) -> list[Path]:
    """Writes `external.csv` (metrics), `external_predictions.parquet` and `refused.csv`.

    Raises:
        DataError: A file cannot be written.
    """
    tables = {
        "external.csv": metrics_table(found),
        "refused.csv": pd.DataFrame(
            {
                f"{found.observed.noun.one}_id": list(found.refused),
                "reason": list(found.refused.values()),
            }
        ),
    }
    paths = [folder / name for name in (*tables, "external_predictions.parquet")]
    try:
        for name, table in tables.items():
            write_text(folder / name, csv_text(table))
        with replacing(paths[-1]) as temporary:
            found.predictions.to_parquet(temporary, index=False)
    except OSError as error:
        raise DataError(f"cannot write into {folder}: {error.strerror}") from None
    return paths


def metrics_table(found: ExternalValidation) -> pd.DataFrame:
    """One row an arm and metric, with the cross-validated value of the study beside it."""
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    return pd.DataFrame(
        [
            {
                "bundle": found.bundle,
                "outcome": found.outcome,
                "arm": arm.arm,
                "metric": name,
                "value": estimate.value,
                "low": estimate.low,
                "high": estimate.high,
                "interval": estimate.method,
                "cross_validated": arm.cross_validated.get(name, nothing).value,
                "n": found.n,
                "events": found.events,
            }
            for arm in found.arms
            for name, estimate in arm.metrics.items()
        ]
    )


def _cases(
    predictor: Predictor, cohort: Cohort, measuring: Measuring, refused: dict[str, str]
) -> Iterator[Case]:
    """Patients by id; who has a value that the bundle cannot take is refused with the reason."""
    inputs = [c.name for c in predictor.bundle.record.inputs if c.name in cohort.patients.columns]
    pictures = _pictures(predictor, cohort)
    images = pictures.groupby("patient_id")["path"].apply(list)
    roles = pictures.groupby("patient_id")["role"].apply(list)
    for row in cohort.patients.sort_values("patient_id").to_dict("records"):
        patient = str(row["patient_id"])
        values = {name: row[name] for name in inputs if not pd.isna(row[name])}
        entry = measuring.entry(row)
        values |= {ENTRY_DAYS: entry} if entry > 0 else {}
        try:
            own = images.get(patient, [])
            yield predictor.case(values, own, patient, roles.get(patient, []))
        except DataError as error:
            refused[patient] = str(error)


def _pictures(predictor: Predictor, cohort: Cohort) -> pd.DataFrame:
    """Pictures in the order of their ids, with their role; of roles that the bundle looks at."""
    pictures = cohort.pictures.sort_values("image_id")
    wanted = predictor.bundle.record.image.roles
    pictures = pictures.assign(role=roles_of_images(pictures) if wanted else "")
    return pictures[pictures["role"].isin(list(wanted))] if wanted else pictures


def _chunks(cases: Iterator[Case]) -> Iterator[list[Case]]:
    chunk: list[Case] = []
    for case in cases:
        chunk.append(case)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _table(
    rows: list[dict[str, Any]], models: tuple[FittedRecord, ...], run: str, kind: str
) -> pd.DataFrame:
    about = {m.arm: (m.model, "+".join(str(x["name"]) for x in m.modalities)) for m in models}
    table = pd.DataFrame(rows)
    return predictions_table(
        [
            table.assign(
                run=run,
                model=table["arm"].map(lambda arm: about[arm][0]),
                modalities=table["arm"].map(lambda arm: about[arm][1]),
                design=DESIGN,
                repeat=0,
                fold=0,
            )
        ],
        kind,
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _cross_validated(model: FittedRecord) -> dict[str, Estimate]:
    return {
        name: Estimate(_number(m.value), _number(m.low), _number(m.high))
        for name, m in model.performance.metrics.items()
    }
