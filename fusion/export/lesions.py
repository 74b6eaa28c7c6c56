"""Tables of lesions as people read them: lesion, patient, and clusters that are patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pandas as pd

from featurestore.cohort import Cohort, patient_groups
from featurestore.export import ColumnNote, ExportTable
from featurestore.export.scripts import Clusters
from featurestore.units import KEY_NAMES, worded

_NOTES = {
    "lesion_id": ColumnNote("Lesion", role="lesion"),
    "patient_id": ColumnNote(
        "Patient", note="the lesion's own id where the patient is not known", role="patient"
    ),
    "source_lesion_id": ColumnNote("Lesion, as the source names it", role="lesion"),
}


def as_people_read(table: ExportTable, cohort: Cohort) -> ExportTable:
    """A table with its observations called what they are, in names of columns and in words."""
    noun = cohort.noun
    notes = {
        name: dataclasses.replace(
            note, label=worded(note.label, noun), note=worded(note.note, noun)
        )
        for name, note in table.notes.items()
    }
    label = worded(table.label, noun)
    if cohort.unit == "patient" or "patient_id" not in table.frame:
        return dataclasses.replace(table, notes=notes, label=label)
    names = KEY_NAMES[cohort.unit]
    return dataclasses.replace(
        table,
        frame=cohort.for_people(table.frame),
        notes={**{k: v for k, v in notes.items() if k not in names}, **_NOTES},
        label=label,
        key=tuple(names.get(name, name) for name in table.key),
    )


def clusters(cohort: Cohort, groups: Mapping[str, str]) -> pd.Series:
    """Cluster of each observation, by key: of lesions it is called by its first patient.

    Args:
        cohort: The cohort.
        groups: Group of each observation, as the folds have it.
    """
    patients = cohort.patients.set_index("patient_id")
    group = pd.Series(dict(groups)).reindex(patients.index).astype("str")
    if cohort.unit == "patient":
        return group
    return patients["person_id"].groupby(group).transform("min").astype("str")


def of_patients(cohort: Cohort) -> tuple[Clusters, ...]:
    """Clusters that import scripts find again; none where observations are patients."""
    if cohort.unit == "patient":
        return ()
    groups = patient_groups(cohort.patients, cohort.images)
    what = "Lesions of one cluster, a patient, are not independent: cluster standard errors by it"
    return (Clusters("analysis", "cluster", len(set(groups.values())), what),)


def cluster_note(cohort: Cohort, of_patients: ColumnNote) -> ColumnNote:
    """What a cluster is."""
    if cohort.unit == "patient":
        return of_patients
    return dataclasses.replace(
        of_patients, label="Patient, or patients whose lesions share an image"
    )
