"""Builds a cohort out of its sources: join by id, inspect images, apply the outcome, account."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from featurestore.cohort.config import CohortConfig, ColumnOutcome, resolve_outcome
from featurestore.cohort.enough import check_enough
from featurestore.cohort.feature_rows import FeatureRows, feature_notes, place_features
from featurestore.cohort.follow_up import short_follow_up
from featurestore.cohort.gaps import gaps_of, why_unknown
from featurestore.cohort.images import copy_notes, inspected, without_copies
from featurestore.cohort.lesion_labels import lesion_notes, torn_lesions
from featurestore.cohort.matching import label_matched
from featurestore.cohort.roles import role_notes
from featurestore.cohort.tables import Cohort, patient_columns
from featurestore.errors import DataError, name_some
from featurestore.outcomes import OUTCOME_COLUMNS, Outcome
from featurestore.outcomes.base import KNOWN_REASON
from featurestore.progress import SILENT, Progress
from featurestore.sources import ReadContext, SourceTables
from featurestore.sources.joining import JoinedSources, join_sources
from featurestore.tables import (
    OUTCOME_STAGE,
    DataDictionary,
    exclusions_table,
    known_later,
)

__all__ = ["CohortConfig", "ColumnOutcome", "build_cohort", "drop_images"]

UNKNOWN_SITE = "unknown"


def build_cohort(
    config: CohortConfig,
    name: str,
    context: ReadContext,
    progress: Progress = SILENT,
    features: Sequence[FeatureRows] = (),
) -> Cohort:
    """Reads all sources into one cohort.

    Patients of all sources are joined by id; a patient that only one source knows keeps missing
    values in the columns of the others. Byte-identical images of one patient count once; those of
    different patients stay and share a duplicate cluster. Images that cannot be decoded stay, with
    width and height 0, until extraction puts them into quarantine.

    Args:
        config: Sources, linkage and outcome.
        name: Name of the cohort.
        context: Where sources may look.
        progress: Told of the inspection of images.
        features: Embeddings that came from elsewhere.

    Raises:
        DataError: A source cannot be read, sources share no patient, ids stand twice, or there are
            no patients with, or none without, the outcome.
    """
    return build_cohorts({"": config}, name, context, progress, features)[""]


def build_cohorts(
    configs: Mapping[str, CohortConfig],
    name: str,
    context: ReadContext,
    progress: Progress = SILENT,
    features: Sequence[FeatureRows] = (),
) -> dict[str, Cohort]:
    """Builds cohorts that differ in their outcome only; sources are read and inspected once.

    Args:
        configs: Sources, linkage and outcome of each.
        name: Name of the cohorts.
        context: Where sources may look.
        progress: Told of the inspection of images.
        features: Embeddings that came from elsewhere.

    Raises:
        DataError: As `build_cohort`.
    """
    first = next(iter(configs.values()))
    context = dataclasses.replace(context, named=first.named_texts(), unit=first.unit)
    tables = [source.read(context) for source in first.sources]
    placed = place_features(tables, features) if features else None
    tables += [] if placed is None or placed.slides is None else [placed.slides]
    linked = _linked(tables, configs, name, context, progress)
    if placed is None:
        return linked
    measured = {one.name: one.measured for one in features}
    return {
        key: dataclasses.replace(
            cohort,
            features=placed.keys,
            features_measured=measured,
            notes=(*cohort.notes, *feature_notes(placed.keys, cohort)),
        )
        for key, cohort in linked.items()
    }


def _linked(
    tables: Sequence[SourceTables],
    configs: Mapping[str, CohortConfig],
    name: str,
    context: ReadContext,
    progress: Progress,
) -> dict[str, Cohort]:
    """Joins sources as the configurations ask, which differ in their outcome only."""
    first = next(iter(configs.values()))
    if first.label_matched is None:
        found = _joined(tables, first, context, progress)
        return {
            key: _assembled(found, config.find_outcome(), config, name)
            for key, config in configs.items()
        }
    pictured = [t for t in tables if not t.images.empty]
    lending = [t for t in tables if t.images.empty]
    if not pictured or not lending:
        raise DataError(
            "linkage label_matched needs sources with images, and others without that lend rows"
        )
    plain = first.model_copy(update={"require_images": False})
    images = _joined(pictured, first, context, progress)
    lent = _joined(lending, first, context, progress)
    outcome = resolve_outcome(first.label_matched.outcome)
    donors = _assembled(lent, outcome, plain, f"{name} donors")
    return {
        key: label_matched(
            _assembled(images, config.find_outcome(), config, name),
            donors,
            first.label_matched.replacement,
            context.seed,
        )
        for key, config in configs.items()
    }


@dataclasses.dataclass(frozen=True)
class _Joined:
    """Sources that describe the same people, before any outcome is asked.

    Attributes:
        rows: Their joined tables.
        images: Their images, inspected, each once.
        copies: Which images are copies.
    """

    rows: JoinedSources
    images: pd.DataFrame
    copies: pd.DataFrame


def _joined(
    tables: Sequence[SourceTables],
    config: CohortConfig,
    context: ReadContext,
    progress: Progress,
) -> _Joined:
    rows = join_sources(tables, "none" if config.linkage == "none" else "patient")
    images = inspected(rows.images, config.max_megapixels, context, progress)
    return _Joined(rows, *without_copies(images))


def _assembled(found: _Joined, outcome: Outcome, config: CohortConfig, name: str) -> Cohort:
    """Applies the outcome to people who are joined."""
    linkage = "none" if config.linkage == "none" else "patient"
    joined, images, copies = found.rows, found.images, found.copies
    tables, patients, dictionary = joined.tables, joined.patients, joined.dictionary
    known = outcome.known(patients, images, dictionary)
    torn = torn_lesions(outcome, joined)
    patients = _with_outcome(patients, known, outcome)
    patients["person_id"] = patients["patient_id"].map(_persons(joined, patients, config))
    site = patients["site"] if "site" in patients.columns else pd.Series(pd.NA, patients.index)
    patients["site"] = site.astype("str").fillna(UNKNOWN_SITE)
    allowed = config.use_anyway
    if config.label_matched is not None:  # names columns of the donors, or of the image patients
        allowed = tuple(column for column in allowed if column in dictionary)
    lends = config.label_matched is not None  # the columns are then of other people
    stated = {} if lends else {str(time): name for time, name in config.known_on.items()}
    days = known_days(dictionary, stated)
    cohort = Cohort(
        name=name,
        outcome=outcome,
        images=images.sort_values("image_id", ignore_index=True),
        patients=patients[[*patient_columns(outcome), *dictionary.names]],
        dictionary=dictionary.dated(days).flagged(withheld(dictionary, outcome, allowed)),
        exclusions=pd.concat([*(t.exclusions for t in tables), joined.conflicts, copies, torn]),
        linkage=linkage,
        synthetic=any(t.synthetic for t in tables),
        facts={key: value for t in tables for key, value in t.facts.items()},
        unmapped=tuple(name for t in tables for name in t.unmapped),
        file_order=_file_order(tables),
        gaps=gaps_of(tables, patients),
        images_measured=config.images_measured,
        known_on=days,
        unit=config.unit,
    )
    cohort = _restricted(cohort, "images", config.require_images, known[KNOWN_REASON])
    short = short_follow_up(cohort)
    notes = (
        *_notes(tables),
        *joined.notes,
        *lesion_notes(outcome, joined, torn),
        *copy_notes(cohort.images, cohort.noun),
        *role_notes(cohort.images, cohort.noun),
        *([short] if short else []),
    )
    return dataclasses.replace(cohort, notes=notes)


def _persons(
    joined: JoinedSources, patients: pd.DataFrame, config: CohortConfig
) -> Mapping[str, str]:
    """Of whom each observation is.

    Raises:
        DataError: Lesions are asked for, and no source names any.
    """
    if config.unit == "lesion" and joined.persons is None:
        raise DataError(
            "cohort.unit lesion: no source names lesions (a collection, ISIC metadata, or a table "
            "with lesion_id does); use unit: patient"
        )
    return joined.persons or {patient: patient for patient in patients["patient_id"]}


def studied_dictionary(config: CohortConfig, tables: Sequence[SourceTables]) -> DataDictionary:
    """The columns that a cohort will have, those that models must not see flagged.

    Args:
        config: Linkage and outcome.
        tables: What the sources yielded.

    Raises:
        DataError: The tables cannot be joined, or `use_anyway` names a column that is not there.
    """
    outcome, allowed = config.find_outcome(), config.use_anyway
    if config.label_matched is not None:
        tables = [table for table in tables if table.images.empty]
        outcome = resolve_outcome(config.label_matched.outcome)
    linkage = "none" if config.linkage == "none" else "patient"
    dictionary = join_sources(tables, linkage).dictionary
    return dictionary.flagged(withheld(dictionary, outcome, allowed))


DAY_OF_SPECIMEN = {"specimen": "days_to_specimen"}
"""Column of the vocabulary with the day of what is measured at a time."""


def known_days(dictionary: DataDictionary, stated: Mapping[str, str]) -> dict[str, str]:
    """By time of measurement the column with its day: the stated ones, then the vocabulary's.

    Args:
        dictionary: The columns.
        stated: `cohort.known_on`.

    Raises:
        DataError: A stated column is not there, or holds no numbers.
    """
    for time, name in stated.items():
        if name not in dictionary or dictionary[name].kind != "numeric":
            raise DataError(
                f"cohort.known_on.{time} names {name!r}, which is no numeric column; the cohort "
                f"has {name_some(dictionary.names, 12)}"
            )
    usual = {time: name for time, name in DAY_OF_SPECIMEN.items() if name in dictionary}
    return {**usual, **stated}


def withheld(
    dictionary: DataDictionary, outcome: Outcome, use_anyway: Collection[str] = ()
) -> list[str]:
    """Columns that models must not see: those the outcome denies, and those known too late.

    Args:
        dictionary: The columns.
        outcome: Says what reveals it and as of when it is predicted.
        use_anyway: Columns that the user insists on; the audit names them.

    Raises:
        DataError: `use_anyway` names a column that is not there.
    """
    unknown = sorted(set(use_anyway) - set(dictionary.names))
    if unknown:
        raise DataError(
            f"cohort.use_anyway names {name_some(unknown)}; the cohort has "
            f"{name_some(dictionary.names, 12)}"
        )
    denied = set(outcome.denied(dictionary.names))
    late = {c.name for c in dictionary if known_later(c.measured, outcome.as_of_time)}
    return [name for name in dictionary.names if name in (denied | late) - set(use_anyway)]


def drop_images(
    cohort: Cohort, reasons: Mapping[str, str], stage: str, require_images: bool
) -> Cohort:
    """Takes images out of a cohort.

    Where images carry the label, the outcome of their patients is found anew from the images that
    remain, as if the others had never been there.

    Args:
        cohort: The cohort.
        reasons: Why each image id goes.
        stage: Stage for the exclusions.
        require_images: Whether patients go whose last image goes.

    Raises:
        DataError: Too few patients remain.
    """
    gone = cohort.images["image_id"].isin(list(reasons))
    if not gone.any():
        return cohort
    rows = [("image", i, stage, reasons[i]) for i in sorted(cohort.images.loc[gone, "image_id"])]
    images = cohort.images[~gone].reset_index(drop=True)
    patients = cohort.patients
    if cohort.outcome.of_images(images):
        affected = patients["patient_id"].isin(cohort.images.loc[gone, "patient_id"])
        known = cohort.outcome.known(patients, images, cohort.dictionary)
        renewed = _with_outcome(patients, known, cohort.outcome)
        columns = list(OUTCOME_COLUMNS[cohort.outcome.kind])
        patients = patients.assign(**{c: patients[c].mask(affected, renewed[c]) for c in columns})
    reduced = dataclasses.replace(
        cohort,
        images=images,
        patients=patients,
        exclusions=pd.concat([cohort.exclusions, exclusions_table(rows)]),
    )
    return _restricted(reduced, stage, require_images)


def _with_outcome(patients: pd.DataFrame, known: pd.DataFrame, outcome: Outcome) -> pd.DataFrame:
    """The patients table with the columns of the outcome."""
    ids = patients["patient_id"]
    columns = OUTCOME_COLUMNS[outcome.kind]
    return patients.assign(**{c: ids.map(known[c]).astype(float) for c in columns})


def _restricted(
    cohort: Cohort, stage: str, require_images: bool, said: pd.Series | None = None
) -> Cohort:
    """Leaves out patients without outcome (or image), and says so for them and their images.

    Args:
        cohort: The cohort.
        stage: Stage for those who have no image; who is not eligible, or whose outcome is not
            known, goes at a stage of its own.
        require_images: Whether patients without image go.
        said: By patient id, why the outcome is not known, as its rule says it.
    """
    patients, images = cohort.patients, cohort.images
    reason = pd.Series("", index=patients.index, dtype="str")
    stages = pd.Series(OUTCOME_STAGE, index=patients.index, dtype="str")
    imageless = ~patients["patient_id"].isin(images["patient_id"])
    unknown = patients["outcome"].isna()
    stated = patients["patient_id"].map({} if said is None else said).astype("str").fillna("")
    stated = (": " + stated).where(stated != "", why_unknown(cohort))
    reason[unknown] = f"{cohort.outcome.name} is unknown" + stated[unknown]
    if not images.empty:
        reason[imageless & unknown] = "no image, and " + reason[imageless & unknown]
    if require_images:
        reason[imageless] = "no image"
        stages[imageless] = stage
    ineligible = ~cohort.outcome.eligible(patients, cohort.dictionary).to_numpy()
    reason[ineligible] = f"not among: {cohort.outcome.among}"
    stages[ineligible] = "eligibility"
    out = reason != ""
    by_patient = dict(zip(patients.loc[out, "patient_id"], reason[out], strict=True))
    left_at = dict(zip(patients.loc[out, "patient_id"], stages[out], strict=True))
    rows = [(cohort.noun.one, one, left_at[one], why) for one, why in sorted(by_patient.items())]
    dropped = images["patient_id"].isin(list(by_patient))
    for image, patient in zip(
        images.loc[dropped, "image_id"], images.loc[dropped, "patient_id"], strict=True
    ):
        why = f"{cohort.noun.one} {patient} left out: {by_patient[patient]}"
        rows.append(("image", image, left_at[patient], why))
    kept = patients[~out].sort_values("patient_id", ignore_index=True)
    check_enough(kept, cohort.outcome, list(by_patient.values()), cohort.noun)
    exclusions = pd.concat([cohort.exclusions, exclusions_table(rows)])
    order = list(exclusions.columns)
    return dataclasses.replace(
        cohort,
        patients=kept,
        images=images[~dropped].reset_index(drop=True),
        exclusions=exclusions.sort_values(order, ignore_index=True).astype("str"),
    )


def _notes(tables: Sequence[SourceTables]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for table in tables for note in table.notes))


def _file_order(tables: Sequence[SourceTables]) -> dict[str, int]:
    """Place of each patient in the tables that have patients of their own."""
    ids = [patient for table in tables for patient in table.patients["patient_id"]]
    return {patient: place for place, patient in enumerate(dict.fromkeys(ids))}
