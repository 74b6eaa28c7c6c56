"""The same thing on both sides of a fold: patients, lesions, images, clinical rows.

Each of these makes a model score what it was fitted on, so a hit takes the meaning from every
number and cannot be accepted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pandas as pd

from featurestore.cohort import Folds, comparable
from featurestore.errors import name_some
from featurestore.tables.barcodes import parse_barcode
from fusion.audit.base import AuditSubject, Check, Hit
from fusion.audit.row_identity import donor_rows, identical_rows, row_groups

NAMED = 5
"""Hits of one kind that are written out; the rest is counted in a last one."""


@dataclasses.dataclass(frozen=True)
class Crossing:
    """One thing that stands on both sides of outer folds.

    Attributes:
        key: What it is.
        patients: Those who have it, sorted.
        repeat: Repeat of the first fold that it crosses.
        fold: That fold.
        places: Number of folds that it crosses.
    """

    key: str
    patients: tuple[str, ...]
    repeat: int
    fold: int
    places: int


def crossing(keys: pd.DataFrame, folds: Folds) -> list[Crossing]:
    """Finds what stands on both sides of an outer fold, in the order of the keys.

    Args:
        keys: `key, patient_id`: what each patient has. A patient may have several keys.
        folds: Outer folds.
    """
    keys = keys.dropna().drop_duplicates()
    shared = keys[keys.duplicated("key", keep=False)]
    placed = shared.merge(folds.table, on="patient_id")
    sides = placed.groupby(["key", "repeat", "fold"])["role"].nunique()
    places: dict[str, list[tuple[int, int]]] = {}
    for key, repeat, fold in sorted(sides.index[sides > 1]):
        places.setdefault(key, []).append((repeat, fold))
    patients = shared.groupby("key")["patient_id"].agg(list)
    return [
        Crossing(key, tuple(sorted(patients[key])), *where[0], len(where))
        for key, where in places.items()
    ]


def _crossing_hits(found: list[Crossing], what: str) -> Iterator[Hit]:
    """One hit a key; after the first few, one for all the rest."""
    for one in found[:NAMED]:
        more = f" and of {one.places - 1} more" if one.places > 1 else ""
        yield Hit(
            f"{what} {one.key} belongs to {{patients}} {name_some(one.patients)}, who stand on "
            f"both sides of repeat {one.repeat}, fold {one.fold}{more}.",
            one.patients,
        )
    rest = found[NAMED:]
    if rest:
        yield Hit(
            f"{len(rest)} more like this: {what} {name_some([one.key for one in rest])}.",
            tuple(sorted({patient for one in rest for patient in one.patients})),
            float(len(rest)),
        )


def _patients(subject: AuditSubject) -> Iterator[Hit]:
    folds, one = subject.folds.table.drop_duplicates(), subject.cohort.noun.one.capitalize()
    roles = folds.groupby(["patient_id", "repeat", "fold"])["role"].nunique()
    both = sorted(roles.index[roles > 1])
    for patient in sorted({patient for patient, *_ in both}):
        places = [(repeat, fold) for who, repeat, fold in both if who == patient]
        yield Hit(
            f"{one} {patient} is in the training and in the test part of repeat "
            f"{places[0][0]}, fold {places[0][1]} ({len(places)} folds in all).",
            (patient,),
        )
    tested = folds[folds["role"] == "test"].groupby(["patient_id", "repeat"]).size()
    for patient in sorted({patient for patient, _ in tested.index[tested > 1]}):
        yield Hit(
            f"{one} {patient} is tested in {tested[patient].max()} folds of one repeat, and "
            "counts as often.",
            (patient,),
        )
    patients, lesions = subject.cohort.patients, subject.cohort.unit == "lesion"
    persons = patients["person_id" if lesions else "patient_id"].astype(str)
    ids = patients["patient_id"].astype(str)
    keys = pd.DataFrame({"key": persons.map(_person), "patient_id": ids})
    yield from _crossing_hits(crossing(keys, subject.folds), "Under different spellings, person")


def _person(patient_id: str) -> str:
    """The id without what spelling adds: case, spaces, separators, parts after the patient."""
    barcode = parse_barcode(patient_id)
    if barcode is not None:
        return barcode.patient
    return re.sub(r"[\W_]+", "-", patient_id.casefold()).strip("-")


def _lesions(subject: AuditSubject) -> Iterator[Hit]:
    images = subject.cohort.images
    yield from _crossing_hits(crossing(_keys(images, "lesion_id"), subject.folds), "Lesion")


def _lesions_apply(subject: AuditSubject) -> str:
    images = subject.cohort.images
    if images.empty:
        return "the cohort has no images"
    return "" if _has_text(images["lesion_id"]).any() else "no image has a lesion id"


def _copies(subject: AuditSubject) -> Iterator[Hit]:
    images = subject.cohort.images
    images = images[comparable(images)]
    exact = crossing(_keys(images, "sha256"), subject.folds)
    yield from _crossing_hits(_with_images(exact, images, "sha256"), "The same file, image")
    column = "duplicate_cluster"
    files = images.groupby(column)["sha256"].nunique()
    near = [c for c in crossing(_keys(images, column), subject.folds) if files[c.key] > 1]
    yield from _crossing_hits(_with_images(near, images, column), "The same picture, image")


def _keys(images: pd.DataFrame, column: str) -> pd.DataFrame:
    known = images.loc[_has_text(images[column]), [column, "patient_id"]]
    return known.set_axis(["key", "patient_id"], axis=1)


def _with_images(found: list[Crossing], images: pd.DataFrame, column: str) -> list[Crossing]:
    """Crossings that are called by the images concerned instead of by a digest."""
    members = images.groupby(column)["image_id"].agg(sorted)
    return [dataclasses.replace(c, key=" = ".join(members[c.key][:NAMED])) for c in found]


def _images_apply(subject: AuditSubject) -> str:
    return "the cohort has no images" if subject.cohort.images.empty else ""


def _rows(subject: AuditSubject) -> Iterator[Hit]:
    lent = donor_rows(subject.cohort)
    if len(lent):  # says more than equal values, which follow from it
        yield from _crossing_hits(crossing(lent, subject.folds), "The clinical row of donor")
        return
    found = crossing(row_groups(identical_rows(subject.cohort)), subject.folds)
    yield from _crossing_hits(found, "One clinical row, equal in every value,")


def _rows_apply(subject: AuditSubject) -> str:
    cohort = subject.cohort
    if not len(cohort.dictionary):
        return "the cohort has no {patient} columns"
    return ""


def _has_text(values: pd.Series) -> pd.Series:
    return values.notna() & (values.astype(str).str.strip() != "")


CHECKS = (
    Check(
        "patient_across_folds",
        "Same patient across folds",
        "Ids of patients in the training and test part of every outer fold, also where they "
        "differ by spelling only.",
        "invalidates",
        "Give each person one id and make the folds anew.",
        _patients,
        acceptable=False,
    ),
    Check(
        "lesion_across_folds",
        "Same lesion across folds",
        "Lesion ids of the images of training and test {patients} of every outer fold.",
        "invalidates",
        "One lesion belongs to one patient: correct the patient ids, or leave the images out.",
        _lesions,
        _lesions_apply,
        acceptable=False,
    ),
    Check(
        "copied_images_across_folds",
        "Copied images across folds",
        "SHA-256 and perceptual duplicate clusters of the images of training and test {patients} "
        "of every outer fold.",
        "invalidates",
        "Keep {patients} who share an image in one fold (make the folds anew), or leave copies "
        "out.",
        _copies,
        _images_apply,
        acceptable=False,
    ),
    Check(
        "clinical_row_reused",
        "Same clinical row across folds",
        "Donors of clinical rows, and rows that agree in every known value beyond chance, of "
        "training and test {patients} of every outer fold.",
        "invalidates",
        "Make folds that keep all {patients} of one clinical row together, or lend each row once.",
        _rows,
        _rows_apply,
        acceptable=False,
    ),
)
