"""Feature tables whose embeddings are the means of bags that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from featurestore.outcomes import Target
from featurestore.store.bags import BagFiles, write_bag
from featurestore.tables.dictionary import DataDictionary
from fusion.features import FeatureTable, RowBags


def needles(
    folder: Path, patients: int, tiles: int, width: int = 8, shift: float = 6.0, seed: int = 0
) -> FeatureTable:
    """Patients with a bag each; with the outcome, one tile in a hundred is moved.

    Args:
        folder: Where bags are written.
        patients: Every other one has the outcome.
        tiles: Of each bag.
        width: Numbers of a tile.
        shift: How far a tile is moved in the first of them, in standard deviations.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    y = (np.arange(patients) % 2).astype(float)
    keys, means = [], []
    for outcome in y:
        bag = rng.normal(size=(tiles, width)).astype(np.float32)
        if outcome:
            bag[rng.choice(tiles, max(1, tiles // 100), replace=False), 0] += np.float32(shift)
        keys.append((write_bag(folder, bag.shape, bag.dtype, [bag]),))
        means.append(bag.mean(axis=0, dtype=np.float64))
    ids = np.array([f"P{i:04d}" for i in range(patients)], dtype=object)
    return FeatureTable(
        row_ids=ids,
        patient_ids=ids,
        groups=ids,
        target=Target.binary(y),
        embeddings={"uni": np.array(means, dtype=np.float32)},
        columns=pd.DataFrame(index=range(patients)),
        dictionary=DataDictionary(()),
        bags={"uni": RowBags.of(BagFiles(folder, width), keys)},
    )
