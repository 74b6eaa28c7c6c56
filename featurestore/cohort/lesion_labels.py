"""What is said of an outcome where observations are lesions: who disagrees, and whose it is."""

from __future__ import annotations

import pandas as pd

from featurestore.outcomes import Outcome
from featurestore.sources.joining import JoinedSources
from featurestore.tables import OUTCOME_STAGE, exclusions_table
from featurestore.units import counted


def torn_lesions(outcome: Outcome, joined: JoinedSources) -> pd.DataFrame:
    """Lesions whose images do not agree on the outcome, as exclusions; they count as having it."""
    images = joined.images
    if joined.persons is None or not outcome.of_images(images):
        return exclusions_table()
    labels = outcome.rule.labels(images, joined.dictionary, outcome.name)
    by_lesion = labels.groupby(images["patient_id"])
    differ = by_lesion.nunique() > 1
    rows = [
        (
            "value",
            str(lesion),
            OUTCOME_STAGE,
            f"{outcome.name}: {int(n)} of {int(of)} images of the lesion say so, others not; it "
            f"counts as having it",
        )
        for lesion, n, of in zip(
            differ.index[differ], by_lesion.sum()[differ], by_lesion.count()[differ], strict=True
        )
    ]
    return exclusions_table(rows)


def lesion_notes(outcome: Outcome, joined: JoinedSources, torn: pd.DataFrame) -> tuple[str, ...]:
    """Sentences on the outcome of lesions, where something must be known of it."""
    persons = joined.persons
    if persons is None:
        return ()
    notes = []
    if len(torn):
        notes.append(
            f"Images of {counted(len(torn), 'lesion')} disagree on {outcome.name}; such a lesion "
            "counts as "
            f"having it."
        )
    if not outcome.of_images(joined.images) and _is_of_patients(outcome, joined):
        notes.append(
            f"{outcome.name} is known of the patient, not of the lesion: all lesions of a patient "
            f"share it, so that events count lesions of patients with it."
        )
    return tuple(notes)


def _is_of_patients(outcome: Outcome, joined: JoinedSources) -> bool:
    """Whether everything that it looks at is measured of a patient, or stands in no dictionary."""
    levels = {c.name: c.level for c in joined.dictionary}
    named = [levels.get(c, "") for c in outcome.rule.columns]
    if "lesion" in named:
        return False
    if "patient" in named:
        return True
    assert joined.persons is not None  # the caller looked
    labels = outcome.labels(joined.patients, joined.images, joined.dictionary)
    by_person = labels.groupby(labels.index.map(joined.persons))
    several = by_person.count() > 1
    return bool(several.any()) and bool((by_person.nunique()[several] == 1).all())
