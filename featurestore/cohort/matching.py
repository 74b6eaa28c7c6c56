"""The label-matched cohort: images of some patients, clinical rows of others."""

from __future__ import annotations

import dataclasses

import pandas as pd

from featurestore.cohort.pairing import pair
from featurestore.cohort.tables import PATIENT_COLUMNS, Cohort
from featurestore.errors import DataError, name_some
from featurestore.tables import GAP_COLUMNS, exclusions_table

_STAGE = "link"


def label_matched(images: Cohort, donors: Cohort, replacement: bool, seed: int) -> Cohort:
    """Lends every image patient the row of a donor with the same outcome.

    The columns of the image patients themselves are dropped: beside another person's row they
    would describe nobody. `donor_id` in the patients table ties those who got the same row
    (`folds.patient_groups`).

    Args:
        images: Patients with images and outcome.
        donors: Patients with clinical rows and an outcome of their own.
        replacement: Whether a row may be lent more than once.
        seed: Seed of the draw.

    Raises:
        DataError: A patient is in both cohorts, or no donor has one of the outcomes.
    """
    both = sorted(set(images.patients["patient_id"]) & set(donors.patients["patient_id"]))
    if both:
        raise DataError(
            f"{len(both)} patients have images and clinical rows: {name_some(both)}; link them by "
            f"patient (cohort.linkage: patient) instead of lending rows"
        )
    keys = ["patient_id", "outcome"]
    pairs = pair(images.patients[keys], donors.patients[keys], "same outcome", replacement, seed)
    patients = with_rows_of_donors(images.patients, donors, pairs)
    unpaired = sorted(set(images.patients["patient_id"]) - set(pairs["patient_id"]))
    rows = [("patient", p, _STAGE, "no donor with the same outcome is left") for p in unpaired]
    kept = images.images["patient_id"].isin(set(pairs["patient_id"]))
    rows += [
        ("image", image, _STAGE, "its patient has no donor")
        for image in sorted(images.images.loc[~kept, "image_id"])
    ]
    exclusions = [images.exclusions, donors.exclusions, exclusions_table(rows)]
    return dataclasses.replace(
        images,
        images=images.images[kept].reset_index(drop=True),
        patients=patients,
        dictionary=donors.dictionary,
        exclusions=pd.concat(exclusions, ignore_index=True),
        linkage="label_matched",
        synthetic=images.synthetic or donors.synthetic,
        notes=(*images.notes, *donors.notes, _note(images, donors, pairs)),
        unmapped=(*images.unmapped, *donors.unmapped),
        donors=donors,
        pairing=pairs,
        gaps=_lent_gaps(donors, pairs),
    )


def with_rows_of_donors(
    patients: pd.DataFrame, donors: Cohort, pairs: pd.DataFrame
) -> pd.DataFrame:
    """Patients table of the paired patients, with `donor_id` and the donors' columns and sites."""
    own = (
        patients.set_index("patient_id")
        .loc[pairs["patient_id"], ["person_id", "outcome"]]
        .reset_index()
    )
    lent = donors.patients.set_index("patient_id").loc[pairs["donor_id"]]
    columns = lent[["site", *donors.dictionary.names]].reset_index(drop=True)
    own["donor_id"] = pairs["donor_id"].to_numpy()
    joined = pd.concat([own, columns], axis=1)
    return joined[[*PATIENT_COLUMNS, "donor_id", *donors.dictionary.names]]


def _lent_gaps(donors: Cohort, pairs: pd.DataFrame) -> pd.DataFrame:
    """Gaps of the donors' rows under the ids of those who borrowed them."""
    lent = donors.gaps.rename(columns={"patient_id": "donor_id"})
    return pairs[["patient_id", "donor_id"]].merge(lent, on="donor_id")[list(GAP_COLUMNS)]


def _note(images: Cohort, donors: Cohort, pairs: pd.DataFrame) -> str:
    times = pairs["donor_id"].value_counts()
    return (
        f"Each of {len(pairs)} image patients ({images.outcome.name}) borrows the clinical row of "
        f"one of {len(times)} donors ({donors.outcome.name}) with the same label; a row is lent up "
        f"to {int(times.max())} times."
    )
