"""What image files are, without what they show, and a small model of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from featurestore.images import place_and_name

TREES = 100
DEPTH = 4
LEAF_SHARE = 0.03
"""Least share of the training patients in a leaf: one odd file is no shortcut."""


def acquisition_facts(images: pd.DataFrame) -> pd.DataFrame:
    """Facts of the image files of each patient: means over images, shares for what is yes or no.

    Args:
        images: Images table; the facts that it does not have (file size, EXIF) are left out, and
            so are images that could not be read.

    Returns:
        One row a patient (index `patient_id`, sorted), one column a fact that varies; no missing
        values. Without columns, and so empty, if nothing varies.
    """
    images = images[(images["width"] > 0) & (images["height"] > 0)].sort_values("image_id")
    width, height = images["width"].astype(float), images["height"].astype(float)
    facts: dict[str, pd.Series] = {
        "log megapixels": (width * height / 1e6).map(np.log),
        "aspect": (width / height).map(np.log),
        "long side": width.where(width > height, height),
        "upright": (height > width).astype(float),
    }
    if "file_bytes" in images.columns:
        size = images["file_bytes"].clip(lower=1).astype(float)
        facts["log file size"] = size.map(np.log)
        facts["bytes a pixel"] = size / (width * height)
    if "has_exif" in images.columns:
        facts["EXIF present"] = images["has_exif"].astype(float)
    if "exif_orientation" in images.columns:
        facts["EXIF turned"] = (images["exif_orientation"] != 1).astype(float)
    kinds = images["path"].astype(str).map(_ending)
    facts |= {f"file is {kind}": (kinds == kind).astype(float) for kind in sorted(set(kinds))}
    table = pd.DataFrame(facts).groupby(images["patient_id"].to_numpy()).mean().sort_index()
    return table[[name for name in table.columns if table[name].nunique() > 1]]


def _ending(path: str) -> str:
    """Ending of a file, or of its name in an archive."""
    return PurePath(place_and_name(Path(path))[1]).suffix.lower()


def out_of_fold(x: np.ndarray, y: np.ndarray, tests: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Predictions of a small forest for patients it was not fitted on.

    Args:
        x: Facts. Shape (n, k).
        y: Outcomes. Shape (n,).
        tests: Test masks of the outer folds.
        seed: Seed of the forest.

    Returns:
        Probabilities, the prevalence for patients in no fold. Shape (n,).
    """
    scores = np.full(len(y), y.mean())
    for test in tests:
        if not test.any() or len(np.unique(y[~test])) < 2:
            continue
        forest = RandomForestClassifier(
            TREES, max_depth=DEPTH, min_samples_leaf=LEAF_SHARE, random_state=seed, n_jobs=1
        )
        scores[test] = forest.fit(x[~test], y[~test]).predict_proba(x[test])[:, 1]
    return scores
