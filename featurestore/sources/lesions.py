"""Lesions as observations: whose each one is, and what is known of it and of its patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.tables import Column, DataDictionary, exclusions_table
from featurestore.tables.merging import differing_values, disagree, first_known
from featurestore.units import Observed

OF_PATIENT = ("demographic", "history")
"""Groups whose columns are measured of a person; those of all others belong to the lesion."""
_FIRST_IMAGE = "first image by id, those with a file before the others"


@dataclasses.dataclass(frozen=True)
class LesionIds:
    """Which lesion each row shows.

    Attributes:
        keys: Key of the lesion of each row; no key is also the id of a known patient.
        persons: Patient of each row, or the key where the patient is not known.
        notes: Sentences that every report prints.
    """

    keys: pd.Series
    persons: pd.Series
    notes: tuple[str, ...]


def lesion_ids(
    row_ids: pd.Series, patient: pd.Series, lesion: pd.Series, what: str, title: str
) -> LesionIds:
    """Says which lesion each row shows, and of whom.

    A row without lesion id is a lesion of its own. A row without patient id is of the patient whom
    other rows of its lesion name; where none does, the lesion is a group of its own.

    Args:
        row_ids: Id of each row (of an image, say); known everywhere.
        patient: Patient id of each row, missing where unknown.
        lesion: Lesion id of each row, missing where unknown.
        what: What rows are, in words (`images`).
        title: The file or collection, for messages.

    Raises:
        DataError: A lesion is of several patients.
    """
    named = pd.DataFrame({"patient": patient, "lesion": lesion}).dropna().drop_duplicates()
    torn = named[named["lesion"].duplicated(keep=False)].sort_values(["lesion", "patient"])
    if len(torn):
        first = torn["lesion"].iloc[0]
        both = torn.loc[torn["lesion"] == first, "patient"].tolist()
        raise DataError(
            f"{title}: {torn['lesion'].nunique():,} lesion ids stand under several patients "
            f"({first}: {name_some(both, 3)}); mend them (a number that counts the lesions of each "
            f"patient is no lesion id), or use cohort.unit: patient"
        )
    owners = named.set_index("lesion")["patient"]
    patient = patient.fillna(lesion.map(owners).astype("str")).astype("str")
    own = row_ids[lesion.isna()].astype("str")
    while set(own) & set(lesion.dropna()):  # image 5 is not lesion 5
        own = ("image " + own).astype("str")
    keys = lesion.fillna(own).astype("str")
    while set(keys) & set(patient.dropna()):  # nor is lesion 5 patient 5
        keys = ("lesion " + keys).astype("str")
    notes = []
    if lesion.isna().any():
        notes.append(
            f"{int(lesion.isna().sum()):,} of {len(lesion):,} {what} have no lesion id: each "
            f"counts as one lesion."
        )
    nameless, total = keys[patient.isna()].nunique(), keys.nunique()
    if nameless:
        whose = (
            f"The patient of none of {total:,} lesions is known: each"
            if nameless == total
            else f"The patient of {total - nameless:,} of {total:,} lesions is known: each other"
        )
        notes.append(
            f"{whose} is a group of its own, and nothing keeps it with other lesions of the same "
            f"patient."
        )
    return LesionIds(keys, patient.fillna(keys).astype("str"), tuple(notes))


def one_row_each(
    rows: pd.DataFrame, columns: Collection[Column], unit: Observed, stage: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Makes one row an observation out of one row an image.

    Of several images the first known value counts, and differences are reported. Of a lesion, what
    is known of its patient stands in its own rows; where it does not, it is that of the patient's
    other lesions.

    Args:
        rows: `patient_id` (with lesions also `person_id`), `image_id`, `_fileless` (whether the
            image has no file) and the columns.
        columns: What the columns are.
        unit: What one observation is.
        stage: Stage for the exclusions.

    Returns:
        One row an observation, sorted by key, and an exclusions table.
    """
    names = [column.name for column in columns]
    order = ["_fileless", "image_id"]
    merged, conflicts = first_known(rows, "patient_id", order, names, stage, _FIRST_IMAGE)
    if unit == "patient":
        return merged, conflicts
    persons = rows.drop_duplicates("patient_id").set_index("patient_id")["person_id"]
    merged.insert(1, "person_id", merged["patient_id"].map(persons).astype("str"))
    shared = [column for column in columns if column.level == "patient"]
    filled, differing = _of_patients(merged, shared, stage)
    return filled, pd.concat([conflicts, differing], ignore_index=True)


def _of_patients(
    lesions: pd.DataFrame, columns: Collection[Column], stage: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fills what is known of a patient from other lesions, and reports where lesions differ."""
    filled, reports = lesions.copy(), []
    for column in columns:
        name = column.name
        known = lesions.dropna(subset=[name])
        first = known.groupby("person_id")[name].first()
        filled[name] = lesions[name].fillna(lesions["person_id"].map(first))
        years = column.unit == "years"
        for person, values in differing_values(known, "person_id", name):
            if any(disagree(values[0], v, years) for v in values[1:]):
                shown = name_some([f"{v:g}" if isinstance(v, float) else v for v in values], 5)
                why = f"{name}: {shown} of several lesions of the patient; each keeps its own"
                reports.append(("value", str(person), stage, why))
    return filled, exclusions_table(reports)


def levelled(dictionary: DataDictionary, unit: Observed) -> DataDictionary:
    """The dictionary, with the level of every column where observations are lesions."""
    if unit == "patient":
        return dictionary
    return DataDictionary(
        dataclasses.replace(c, level=c.level or ("patient" if c.group in OF_PATIENT else "lesion"))
        for c in dictionary
    )
