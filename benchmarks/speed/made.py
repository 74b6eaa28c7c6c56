"""Made stores and cohorts of any size, for benchmarks: noise, of which one dimension says a little.

Nothing is embedded: digests are counted, values are drawn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.cohort import Cohort
from featurestore.cohort.tables import IMAGE_COLUMNS
from featurestore.outcomes import OUTCOMES
from featurestore.store import EncoderIdentity, FeatureStore
from featurestore.store.writer import SHARD_ROWS, StorageType
from featurestore.tables import DataDictionary, exclusions_table

EVENTS = 0.2
"""Share of patients with the outcome."""


def encoder(name: str, dimension: int) -> EncoderIdentity:
    """Identity of an encoder that never ran."""
    return EncoderIdentity(name, "made", "0" * 64, "{}", "avg", dimension)


def digests(count: int) -> list[str]:
    """As many digests as images, all different."""
    return [f"{k:064x}" for k in range(count)]


def outcomes(count: int) -> np.ndarray:
    """Outcome of each patient, 0.0 or 1.0; shape (count,)."""
    return (np.random.default_rng(0).random(count) < EVENTS).astype(float)


def write_store(
    folder: Path,
    identity: EncoderIdentity,
    count: int,
    dtype: StorageType = "float16",
    shard_rows: int = SHARD_ROWS,
) -> FeatureStore:
    """Writes so many embeddings of standard normal noise; the first number follows the outcome."""
    store = FeatureStore(folder)
    rng = np.random.default_rng(identity.dimension)
    y, names = outcomes(count), digests(count)
    with store.writer(identity, shard_rows, dtype) as writer:
        for first in range(0, count, shard_rows):
            part = slice(first, min(first + shard_rows, count))
            values = rng.standard_normal((part.stop - first, identity.dimension), dtype=np.float32)
            values[:, 0] += y[part]
            writer.append(names[part], [f"I{k:07d}" for k in range(first, part.stop)], values)
    return store


def cohort(count: int) -> Cohort:
    """A patient an image, without any column."""
    people = [f"P{k:07d}" for k in range(count)]
    patients = pd.DataFrame({"patient_id": people, "person_id": people, "site": "made"})
    patients["outcome"] = outcomes(count)
    images = pd.DataFrame(dict.fromkeys(IMAGE_COLUMNS, people)).assign(
        image_id=[f"I{k:07d}" for k in range(count)], sha256=digests(count), width=1, height=1
    )
    columns = DataDictionary([])
    return Cohort(
        "made", OUTCOMES["melanoma"], images, patients, columns, exclusions_table(), synthetic=True
    )
