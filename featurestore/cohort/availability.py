"""Which modalities each patient has, counted by combination."""

from __future__ import annotations

import pandas as pd

from featurestore.cohort.roles import roles_of_images
from featurestore.cohort.tables import Cohort

IMAGES = "images"
MOST_COMBINATIONS = 12
REST = "other combinations"


def availability(cohort: Cohort) -> pd.DataFrame:
    """Counts patients by what is known of them.

    A group of columns is there if any of its columns has a value; columns that models never see do
    not count. Where images have several roles, those of each are told apart.

    Returns:
        One row a combination, the most frequent first: `has` (its modalities, joined by `+`; beyond
        `MOST_COMBINATIONS` rows the rest is one row `REST`), `n` and `events`.
    """
    patients = cohort.patients
    known: dict[str, pd.Series] = {}
    for name, own in _pictures(cohort).items():
        known[name] = patients["patient_id"].isin(own["patient_id"])
    for name, keys in cohort.features.items():
        having = cohort.images.loc[cohort.images["image_id"].isin(set(keys)), "patient_id"]
        known[name] = patients["patient_id"].isin(having)
    for group in cohort.dictionary.groups:
        names = [c.name for c in cohort.dictionary.features() if c.group == group]
        known[group] = patients[names].notna().any(axis=1)
    table = pd.DataFrame(known, index=patients.index)
    names = list(table.columns)
    has = [" + ".join(n for n, there in zip(names, row, strict=True) if there) or "nothing"
           for row in table.itertuples(index=False, name=None)]  # fmt: skip
    counted = cohort.has_event.groupby(pd.Series(has, index=patients.index, dtype="str"))
    counts = counted.agg(n="size", events="sum").astype(int).rename_axis("has").reset_index()
    counts = counts.sort_values(["n", "has"], ascending=[False, True], ignore_index=True)
    rest = counts.iloc[MOST_COMBINATIONS:]
    if len(rest) < 2:
        return counts
    total = {"has": f"{len(rest)} {REST}", "n": rest["n"].sum(), "events": rest["events"].sum()}
    return pd.concat([counts.iloc[:MOST_COMBINATIONS], pd.DataFrame([total])], ignore_index=True)


def _pictures(cohort: Cohort) -> dict[str, pd.DataFrame]:
    """All pictures, or where they have several roles those of each."""
    pictures = cohort.pictures
    roles = roles_of_images(pictures)
    if roles[roles != ""].nunique() < 2:
        return {} if pictures.empty else {IMAGES: pictures}
    return {f"{role or 'other'} {IMAGES}": pictures[roles == role] for role in sorted(set(roles))}
