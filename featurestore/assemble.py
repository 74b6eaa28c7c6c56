"""Builds a cohort out of its sources: join by id, inspect images, apply the outcome, account."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.cohort import (
    IMAGE_COLUMNS,
    PATIENT_COLUMNS,
    Cohort,
    exclusions_table,
    require_unique,
)
from featurestore.cohort_config import CohortConfig, ColumnOutcome
from featurestore.duplicates import cluster_duplicates, cluster_id
from featurestore.errors import DataError, name_some
from featurestore.inspection import inspect_images
from featurestore.joining import join_patients
from featurestore.outcomes import Outcome
from featurestore.progress import SILENT, Progress
from featurestore.sources.base import ReadContext, SourceTables

__all__ = ["CohortConfig", "ColumnOutcome", "build_cohort", "drop_images"]

UNKNOWN_SITE = "unknown"


def build_cohort(
    config: CohortConfig, name: str, context: ReadContext, progress: Progress = SILENT
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

    Raises:
        DataError: A source cannot be read, sources share no patient, ids stand twice, or there are
            no patients with, or none without, the outcome.
    """
    outcome = config.find_outcome()
    tables = [source.read(context) for source in config.sources]
    patients, dictionary, conflicts = join_patients(tables, config.linkage)
    images = pd.concat([t.images for t in tables], ignore_index=True)
    require_unique(images["image_id"], "image_id in the sources")
    images = _inspected(images, config.max_megapixels, context, progress)
    images, copies = _without_copies(images)
    labels = outcome.labels(patients, images)
    patients["outcome"] = patients["patient_id"].map(labels).astype(float)
    site = patients["site"] if "site" in patients.columns else pd.Series(pd.NA, patients.index)
    patients["site"] = site.astype("str").fillna(UNKNOWN_SITE)
    cohort = Cohort(
        name=name,
        outcome=outcome,
        images=images.sort_values("image_id", ignore_index=True),
        patients=patients[[*PATIENT_COLUMNS, *dictionary.names]],
        dictionary=dictionary.flagged(outcome.denied(dictionary.names)),
        exclusions=pd.concat([*(t.exclusions for t in tables), conflicts, copies]),
        linkage=config.linkage,
        synthetic=any(t.synthetic for t in tables),
        facts={key: value for t in tables for key, value in t.facts.items()},
    )
    cohort = _restricted(cohort, "outcome", config.require_images)
    return dataclasses.replace(cohort, notes=(*_notes(tables), *_copy_notes(cohort.images)))


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
    if cohort.outcome.column in images.columns:
        affected = patients["patient_id"].isin(cohort.images.loc[gone, "patient_id"])
        labels = cohort.outcome.labels(patients, images)
        renewed = patients["patient_id"].map(labels).astype(float)
        patients = patients.assign(outcome=patients["outcome"].mask(affected, renewed))
    reduced = dataclasses.replace(
        cohort,
        images=images,
        patients=patients,
        exclusions=pd.concat([cohort.exclusions, exclusions_table(rows)]),
    )
    return _restricted(reduced, stage, require_images)


def _restricted(cohort: Cohort, stage: str, require_images: bool) -> Cohort:
    """Leaves out patients without outcome (or image), and says so for them and their images."""
    patients, images = cohort.patients, cohort.images
    reason = pd.Series("", index=patients.index, dtype="str")
    imageless = ~patients["patient_id"].isin(images["patient_id"])
    reason[patients["outcome"].isna()] = f"{cohort.outcome.name} is unknown"
    reason[imageless & patients["outcome"].isna()] = (
        f"no image, and {cohort.outcome.name} is unknown"
    )
    if require_images:
        reason[imageless] = "no image"
    out = reason != ""
    by_patient = dict(zip(patients.loc[out, "patient_id"], reason[out], strict=True))
    rows = [("patient", patient, stage, why) for patient, why in sorted(by_patient.items())]
    dropped = images["patient_id"].isin(list(by_patient))
    for image, patient in zip(
        images.loc[dropped, "image_id"], images.loc[dropped, "patient_id"], strict=True
    ):
        rows.append(("image", image, stage, f"patient {patient} left out: {by_patient[patient]}"))
    kept = patients[~out].sort_values("patient_id", ignore_index=True)
    _check_classes(kept, cohort.outcome, by_patient)
    exclusions = pd.concat([cohort.exclusions, exclusions_table(rows)])
    order = list(exclusions.columns)
    return dataclasses.replace(
        cohort,
        patients=kept,
        images=images[~dropped].reset_index(drop=True),
        exclusions=exclusions.sort_values(order, ignore_index=True).astype("str"),
    )


def _check_classes(patients: pd.DataFrame, outcome: Outcome, left_out: Mapping[str, str]) -> None:
    events, n = int(patients["outcome"].sum()), len(patients)
    if 0 < events < n:
        return
    reasons = pd.Series(list(left_out.values()), dtype="str").value_counts()
    why = "; ".join(f"{count} left out: {reason}" for reason, count in reasons.items())
    suffix = f" ({why})" if why else ""
    if n == 0:
        raise DataError(f"the cohort has no patient{suffix}")
    raise DataError(
        f"all {n} patients of the cohort have the same outcome "
        f"({outcome.name} = {int(events > 0)}); both classes are needed{suffix}"
    )


def _inspected(
    images: pd.DataFrame, max_megapixels: float, context: ReadContext, progress: Progress
) -> pd.DataFrame:
    """Adds digest, size and duplicate cluster."""
    if images.empty:
        return images.assign(sha256="", width=0, height=0, duplicate_cluster="")[
            [*IMAGE_COLUMNS, *(c for c in images.columns if c not in IMAGE_COLUMNS)]
        ]
    max_pixels = round(max_megapixels * 1e6)
    paths = [Path(path) for path in images["path"]]
    facts = inspect_images(paths, max_pixels, context.scratch, progress)
    clusters = [
        cluster_id(f.sha256) or f"unread-{i}"
        for f, i in zip(facts, images["image_id"], strict=True)
    ]
    seen = [(k, f.sha256, f.hashes, f.thumbnail) for k, f in enumerate(facts)]
    readable = [(k, s, h, t) for k, s, h, t in seen if h is not None and t is not None]
    if readable:
        rows, digests, hashes, thumbnails = zip(*readable, strict=True)
        found = cluster_duplicates(digests, np.stack(hashes), np.stack(thumbnails))
        for k, cluster in zip(rows, found, strict=True):
            clusters[k] = cluster
    inspected = images.assign(
        sha256=pd.Series([f.sha256 for f in facts], index=images.index, dtype="str"),
        width=[f.width for f in facts],
        height=[f.height for f in facts],
        duplicate_cluster=pd.Series(clusters, index=images.index, dtype="str"),
    )
    rest = [c for c in images.columns if c not in IMAGE_COLUMNS]
    return inspected[[*IMAGE_COLUMNS, *rest]]


def _without_copies(images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keeps one of the byte-identical images of a patient, the first by id."""
    ordered = images.sort_values("image_id", ignore_index=True)
    keys = ["patient_id", "sha256"]
    copy = ordered.duplicated(keys) & (ordered["sha256"] != "")
    first = ordered[~copy].set_index(keys)["image_id"]
    rows = [
        ("image", image, "duplicates", f"same bytes as image {first[(patient, sha256)]}")
        for image, patient, sha256 in ordered.loc[copy, ["image_id", *keys]].itertuples(index=False)
    ]
    return ordered[~copy].reset_index(drop=True), exclusions_table(rows)


def _notes(tables: Sequence[SourceTables]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for table in tables for note in table.notes))


def _copy_notes(images: pd.DataFrame) -> tuple[str, ...]:
    images = images[images["width"] > 0]  # two empty files are no copies of a picture
    clusters = images.groupby("duplicate_cluster")["patient_id"]
    several = int((clusters.size() > 1).sum())
    across = clusters.nunique()
    crossing = sorted(across.index[across > 1])
    if not several:
        return ()
    note = f"{several} groups of copies or near-copies of an image were found"
    if not crossing:
        return (f"{note}, each within one patient.",)
    examples = [
        " = ".join(sorted(images.loc[images["duplicate_cluster"] == c, "image_id"]))
        for c in crossing[:3]
    ]
    return (
        f"{note}; {len(crossing)} of them cross patients ({name_some(examples, 3)}), and these "
        f"patients are kept in one fold.",
    )
