"""What checks read of a subject: independent persons, columns that models see, planned arms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from featurestore.cohort import roles_by_embedding, roles_of_images
from featurestore.outcomes import ENTRY, TIME
from featurestore.tables import Column
from fusion.arms import Arm, plan_ablation
from fusion.audit.base import AuditSubject
from fusion.metrics.survival import Times
from fusion.models import reference_columns, with_floors

EVENT = 1.0


def followed(people: pd.DataFrame, codes: pd.Series) -> Times:
    """Follow-up of persons.

    Args:
        people: Rows of `persons`.
        codes: What ended each patient's time (`outcome` of the cohort), by patient.
    """
    event = people["patient_id"].map(codes).to_numpy(dtype=float)
    time, entry = (people[column].to_numpy(dtype=float) for column in (TIME, ENTRY))
    return Times(time, event.astype(np.int64), entry)


def follow_up_of(subject: AuditSubject) -> tuple[pd.DataFrame, Times]:
    """Persons whose times can be used, and their follow-up; others are `before_time_zero`."""
    people = persons(subject)
    people = people[(people[TIME] > 0) & (people[TIME] > people[ENTRY])].reset_index(drop=True)
    return people, followed(people, subject.cohort.patients.set_index("patient_id")["outcome"])


def persons(subject: AuditSubject) -> pd.DataFrame:
    """One patient of each group, sorted by id; `outcome` is 1.0 where the event was seen, else 0.0.

    Patients of one group share an image or a clinical row. Counting each of them would make a
    chance association of that one row look certain. Of times to an event, most checks ask whether
    it was seen; a competing event and the end of follow-up are none.
    """
    patients = subject.cohort.patients.sort_values("patient_id", ignore_index=True)
    patients = patients.assign(outcome=(patients["outcome"] == EVENT).astype(float))
    groups = patients["patient_id"].map(dict(subject.groups)).fillna(patients["patient_id"])
    return patients[~groups.duplicated()].reset_index(drop=True)


def used_columns(subject: AuditSubject) -> list[Column]:
    """Columns that at least one arm sees; the floors see every modality."""
    dictionary = subject.cohort.dictionary
    modalities = subject.ablation.modalities
    if modalities is None:
        return dictionary.features()
    groups = {group for modality in modalities.values() for group in modality.groups}
    reference = reference_columns(dictionary)
    names = set(reference.names) if reference else set()
    return [c for c in dictionary.features() if c.group in groups or c.name in names]


def used_encoders(subject: AuditSubject) -> list[str]:
    """Encoders that at least one arm sees, also before anything is embedded."""
    modalities = subject.ablation.modalities
    if modalities is not None:
        return list(dict.fromkeys(n for m in modalities.values() for n in m.embeddings))
    embedding = [name for own in subject.encoders.values() for name in own]
    return list(dict.fromkeys([*embedding, *subject.cohort.features]))


def planned_arms(subject: AuditSubject) -> tuple[Arm, ...]:
    """All arms of the ablation with its floors."""
    config, dictionary = subject.ablation, subject.cohort.dictionary
    backbones = dict.fromkeys(name for names in subject.encoders.values() for name in names)
    if config.modalities is not None:
        named = [name for m in config.modalities.values() for name in m.embeddings]
        backbones |= dict.fromkeys(named)
    cohort = subject.cohort
    roles = roles_by_embedding(backbones, cohort.images, cohort.features)
    plan = plan_ablation(config, list(backbones), dictionary, roles=roles)
    return with_floors(plan.arms, plan.modalities, dictionary)


def with_images(subject: AuditSubject, people: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which persons have images, and where images have several roles those of each; bool (n,)."""
    images, ids = subject.cohort.images, people["patient_id"]
    found = {"images": ids.isin(set(images["patient_id"])).to_numpy()}
    roles = roles_of_images(images)
    known = sorted(set(roles) - {""})
    if len(known) > 1:
        for role in known:
            having = set(images.loc[roles == role, "patient_id"])
            found[f"{role} images"] = ids.isin(having).to_numpy()
    return found


def splits(subject: AuditSubject, patient_ids: pd.Series) -> list[np.ndarray]:
    """Masks of the test rows of each outer fold of the first repeat.

    Args:
        subject: Has the folds.
        patient_ids: Patient of each row. Length n.

    Returns:
        Boolean masks, each of shape (n,); rows whose patient no fold tests are in none.
    """
    first = [key for key in subject.folds.keys if key[0] == subject.folds.repeats[0]]
    return [patient_ids.isin(list(subject.folds.test(key))).to_numpy() for key in first]


def needs_columns(subject: AuditSubject) -> str:
    """Why a check of patient columns does not apply, or nothing."""
    return "" if used_columns(subject) else "no arm sees a {patient} column"
