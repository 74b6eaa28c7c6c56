"""Feature tables whose times to an event come from a known proportional hazards model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.outcomes import Target
from featurestore.tables import DataDictionary
from fusion.features import FeatureTable
from fusion.metrics.survival.simulation import Design, Simulated, simulate
from fusion.testing import tables

DESIGN = Design(effect=1.0, shape=1.3, scale=1500.0, censoring=1 / 3000)
"""Days; about a third of the patients are censored."""
HARD = dataclasses.replace(DESIGN, competing=0.5, late=0.3, rounding=90.0)
"""Ties, delayed entry and a competing event."""
HORIZONS = (365.0, 1095.0)
DICTIONARY = DataDictionary(c for c in tables.DICTIONARY if c.kind != "expression")
MODALITIES = tuple(m for m in tables.MODALITIES if m.name != "expression")
CONFIG = tables.CONFIG.model_copy(update={"jobs": 1})


def times_table(
    patients: int = 120, seed: int = 0, design: Design = DESIGN
) -> tuple[FeatureTable, Simulated]:
    """Every third patient has two images, every ninth none; clinical values are missing too.

    Returns:
        The table, and the cohort in the order of its patients.
    """
    cohort = simulate(design, patients, seed)
    rng = np.random.default_rng([seed, 1])
    lp = cohort.log_hazard_ratio
    image, clinical = (lp + 0.7 * rng.normal(size=patients) for _ in range(2))
    breslow = np.exp(0.5 * clinical + 0.2 * rng.normal(size=patients))
    frame = pd.DataFrame(
        {
            "age_at_diagnosis": np.round(60 + 10 * rng.normal(size=patients)),
            "sex": rng.choice(["female", "male"], size=patients),
            "breslow": np.where(rng.random(patients) < 0.15, np.nan, breslow),
            "ulceration": (clinical + rng.normal(size=patients) > 0).astype(float),
            "stage": np.array(["I", "II", "III"])[np.digitize(clinical, [-0.5, 0.7])],
        }
    )
    frame.loc[::11, "sex"] = None
    ids = np.array([f"P{i:04d}" for i in range(patients)], dtype=object)
    owner = np.concatenate([np.arange(patients), np.arange(0, patients, 3)])
    owner.sort(kind="stable")
    embedding = rng.normal(size=(len(owner), 12)).astype(np.float32)
    embedding[:, 0] += 2 * image[owner].astype(np.float32)
    embedding[owner % 9 == 1] = np.nan
    times = cohort.times
    table = FeatureTable(
        row_ids=np.array([f"I{k:05d}" for k in range(len(owner))], dtype=object),
        patient_ids=ids[owner],
        groups=ids[owner],
        target=Target.time_to_event(times.event[owner], times.time[owner], times.entry[owner]),
        embeddings={"net_a": embedding},
        columns=frame.iloc[owner].reset_index(drop=True),
        dictionary=DICTIONARY,
    )
    return table, cohort
