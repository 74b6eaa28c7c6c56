"""Embeddings by role in feature tables: each is the mean over a patient's images of that role."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from store_example import batch, digest, embedding, identity

from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.store.store import FeatureStore
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.arms import Modality
from fusion.features.table import FeatureReader, FeatureTable, ViewPlan

DERM, CLINIC, AGE = "net@dermoscopic", "net@close-up", Modality("clinical", groups=("demographic",))
IMAGES = [
    ("A", "dermoscopic"),
    ("A", "close-up"),
    ("A", "dermoscopic"),
    ("B", "close-up"),
    ("C", "dermoscopic"),
    ("C", None),
]
"""A has two dermoscopic images, B none, C an image whose role nobody says; D has no image."""


def _seen(store: FeatureStore, view: int = 0) -> None:
    sha256s, ids, matrix = batch(range(len(IMAGES)))
    with store.writer(identity()) as writer:
        writer.append(sha256s, ids, matrix + view, view)


@pytest.fixture
def reader(tmp_path: Path) -> FeatureReader:
    store = FeatureStore(tmp_path / "store")
    _seen(store)
    _seen(store, view=1)
    people = list("ABCD")
    patients = pd.DataFrame({"patient_id": people, "person_id": people, "site": "s"})
    patients["outcome"] = [0.0, 1.0, 1.0, 0.0]
    ids = [f"I{k}" for k in range(len(IMAGES))]
    images = pd.DataFrame(dict.fromkeys(IMAGE_COLUMNS, ids)).assign(
        patient_id=[patient for patient, _ in IMAGES],
        image_role=[role for _, role in IMAGES],
        sha256=[digest(k) for k in range(len(IMAGES))],
    )
    shuffled = images.sample(frac=1, random_state=3)  # row order carries no meaning
    nothing = DataDictionary([])
    cohort = Cohort("c", OUTCOMES["melanoma"], shuffled, patients, nothing, exclusions_table())
    return FeatureReader(cohort, {p: p for p in people}, store, by_role=[DERM, CLINIC])


def _rows(table: FeatureTable, patient: str) -> np.ndarray:
    return np.flatnonzero(table.patient_ids == patient)


def _mean(patient: str, role: str) -> np.ndarray:
    """The same by hand, from what was written."""
    own = [embedding(k) for k, image in enumerate(IMAGES) if image == (patient, role)]
    return np.mean(np.array(own, dtype=float), axis=0)


def test_features_of_a_role_are_the_mean_over_its_images(reader: FeatureReader) -> None:
    table = reader.read({"net": identity()}, [])
    for name, role in ((DERM, "dermoscopic"), (CLINIC, "close-up")):
        for patient in "ABCD":
            found = table.embeddings[name][_rows(table, patient)]
            if (patient, role) in IMAGES:
                expected = np.tile(_mean(patient, role), (len(found), 1))
                np.testing.assert_allclose(found, expected, rtol=1e-6)
            else:
                assert np.isnan(found).all(), (patient, role)
    assert table.roles is not None
    assert table.roles[_rows(table, "C")].tolist() == ["dermoscopic", ""]
    assert np.isfinite(table.embeddings["net"][_rows(table, "C")]).all()


def test_rows_that_modalities_cannot_tell_apart_are_one(reader: FeatureReader) -> None:
    table = reader.read({"net": identity()}, [])
    derm, plain = Modality("derm", (DERM,)), Modality("image", ("net",))
    assert table.seen_by([derm, AGE]).patient_ids.tolist() == list("ABCD")
    assert table.seen_by([derm, plain]) is table
    assert table.seen_by([AGE]) is table


def test_views_are_averaged_with_views(reader: FeatureReader) -> None:
    views = ViewPlan({"net": identity()}, learned=1)
    table = reader.read({"net": identity()}, [], views=views)
    assert table.views is not None
    first, second = (
        table.take((table.patient_ids == "A") & (table.views.number == k)) for k in (0, 1)
    )
    np.testing.assert_allclose(
        second.embeddings[DERM], first.embeddings[DERM] + 1, rtol=1e-5, atol=1e-6
    )
    seen = table.seen_by([Modality("derm", (DERM,))])
    assert sorted(seen.patient_ids) == sorted("AABBCCD")
