"""Tables of patients beside tables of lesions: what is known of a patient is so of each lesion."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from featurestore.errors import DataError, name_some
from featurestore.sources.base import SourceTables
from featurestore.tables import DataDictionary, Level, exclusions_table
from featurestore.units import counted

_STAGE = "join"


def lesions_of_all(tables: Sequence[SourceTables]) -> dict[str, str]:
    """The patient of every lesion, by key; the key itself where no source knows the patient.

    Args:
        tables: What the sources yielded; those whose rows are no lesions say nothing here.

    Raises:
        DataError: Two sources name different patients for one lesion.
    """
    rows = [t.patients[["patient_id", "person_id"]] for t in tables if t.of_lesions]
    known = pd.concat(rows, ignore_index=True).drop_duplicates() if rows else pd.DataFrame()
    if known.empty:
        return {}
    named = known[known["patient_id"] != known["person_id"]]
    torn = named[named["patient_id"].duplicated(keep=False)]
    if len(torn):
        first = torn["patient_id"].min()
        both = sorted(torn.loc[torn["patient_id"] == first, "person_id"])
        raise DataError(
            f"two sources name different patients for "
            f"{counted(torn['patient_id'].nunique(), 'lesion')} "
            f"({first}: {name_some(both, 3)}); mend one, or leave it out"
        )
    owners = dict(zip(named["patient_id"], named["person_id"], strict=True))
    return {key: owners.get(key, key) for key in known["patient_id"]}


def spread(tables: Sequence[SourceTables], persons: Mapping[str, str]) -> list[SourceTables]:
    """Tables whose rows are lesions, all of them.

    A row of a patient stands for each of the patient's lesions, and one whose id is a lesion for
    that lesion. An image of a patient shows the patient's only lesion; of several lesions it is not
    known which, so that it is left out.

    Args:
        tables: What the sources yielded.
        persons: Patient of every lesion (`lesions_of_all`).
    """
    lesions: dict[str, list[str]] = {}
    for key, person in sorted(persons.items()):
        lesions.setdefault(person, []).append(key)
        if key != person:
            lesions.setdefault(key, []).append(key)
    return [_without_person(t) if t.of_lesions else _spread(t, lesions) for t in tables]


def _without_person(table: SourceTables) -> SourceTables:
    return dataclasses.replace(table, patients=table.patients.drop(columns="person_id"))


def _spread(table: SourceTables, lesions: Mapping[str, list[str]]) -> SourceTables:
    """One table of patients as one of lesions; untouched where it shares no id with them."""
    ids = {*table.patients["patient_id"], *table.images["patient_id"]}
    if not ids & lesions.keys() and table.images.empty:
        return table  # the join refuses it, and says whose ids it has
    of_lesions = all(lesions.get(i) == [i] for i in ids)
    level: Level = "lesion" if of_lesions else "patient"
    dictionary = DataDictionary(dataclasses.replace(c, level=level) for c in table.dictionary)
    absent = sorted(set(table.patients["patient_id"]) - lesions.keys())
    rows = [("patient", i, _STAGE, "no lesion of this patient is known") for i in absent]
    shown = table.images["patient_id"].map(lambda i: len(lesions.get(i, ())))
    for image, count in zip(table.images["image_id"], shown, strict=True):
        if count != 1:
            why = f"which of {count} lesions of its patient it shows is not known"
            rows.append(("image", image, _STAGE, why if count else "its patient has no lesion"))
    images = table.images[shown == 1] if len(table.images) else table.images
    only = images["patient_id"].map(lambda i: lesions[i][0]).astype("str")
    return dataclasses.replace(
        table,
        images=images.assign(patient_id=only).reset_index(drop=True),
        patients=_repeated(table.patients, lesions),
        dictionary=dictionary,
        exclusions=pd.concat([table.exclusions, exclusions_table(rows)], ignore_index=True),
        gaps=_repeated(table.gaps, lesions),
    )


def _repeated(rows: pd.DataFrame, lesions: Mapping[str, list[str]]) -> pd.DataFrame:
    keys = rows["patient_id"].map(lambda i: lesions.get(i, []))
    spread_out = rows.assign(patient_id=keys).explode("patient_id").dropna(subset=["patient_id"])
    return spread_out.astype({"patient_id": "str"}).reset_index(drop=True)
