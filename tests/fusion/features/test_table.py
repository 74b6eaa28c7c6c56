"""Feature tables are read from the store once for what asks for the same, and for no other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from store_example import batch, digest, identity

import fusion.features.table as table_module
from extractor.config import BackboneConfig
from featurestore.cohort.tables import IMAGE_COLUMNS, Cohort
from featurestore.errors import LeakageError, StoreError
from featurestore.outcomes import OUTCOMES
from featurestore.store.store import FeatureStore
from featurestore.tables.dictionary import DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.features.image_files import file_locator
from fusion.features.late import LateEmbeddings
from fusion.features.table import FeatureReader

PEOPLE = [f"P{k}" for k in range(4)]


@pytest.fixture
def reader(tmp_path: Path) -> FeatureReader:
    store = FeatureStore(tmp_path / "store")
    with store.writer(identity()) as writer:
        writer.append(*batch(range(4)))
    patients = pd.DataFrame({"patient_id": PEOPLE, "person_id": PEOPLE, "site": "s"})
    patients["outcome"] = [0.0, 1.0, 1.0, 0.0]
    images = pd.DataFrame(dict.fromkeys(IMAGE_COLUMNS, PEOPLE)).assign(
        sha256=[digest(k) for k in range(4)], width=1, height=1
    )
    cohort = Cohort(
        "c", OUTCOMES["melanoma"], images, patients, DataDictionary([]), exclusions_table()
    )
    locate = file_locator(0, tmp_path, tmp_path / "scratch")
    return FeatureReader(cohort, {p: p for p in PEOPLE}, store, locate)


def test_the_target_is_that_of_each_rows_patient(reader: FeatureReader) -> None:
    table = reader.read({"net": identity()}, [])
    assert table.target.kind == "binary"
    assert table.y.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert table.take(np.array([2, 0])).y.tolist() == [1.0, 0.0]


def test_an_encoder_that_knows_patients_is_refused_for_each_of_their_lesions(
    reader: FeatureReader,
) -> None:
    cohort = reader._cohort
    owned = cohort.patients.assign(person_id=["A", "A", "B", "P3"])
    lesions = dataclasses.replace(cohort, patients=owned, unit="lesion")
    of_lesions = FeatureReader(lesions, {p: p for p in PEOPLE}, reader._store)
    seen = dataclasses.replace(identity(), training_patients=("A",))
    with pytest.raises(LeakageError, match="A"):
        of_lesions.read({"net": seen}, ["P1"])
    with pytest.raises(StoreError):  # it is no leak: only nothing was embedded by it
        of_lesions.read({"net": seen}, ["P2", "P3"])


def test_a_read_without_networks_is_not_handed_to_one_that_needs_them(
    reader: FeatureReader,
) -> None:
    """The ladder of a resumed run reads first, and knows no network behind the embeddings."""
    plain = reader.read({"net": identity()}, [])
    assert reader.read({"net": identity()}, []) is plain
    network = BackboneConfig(name="test_convnext", weights="random", image_size=32)
    table = reader.read({"net": identity()}, [], backbones={"net": network})
    assert table.files is not None
    assert table.files.load("net").preprocessing.geometry.size == 32


def test_a_large_table_is_read_into_a_file(
    reader: FeatureReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reader.read({"net": identity()}, [])
    monkeypatch.setattr(table_module, "LATE_FROM", 0)
    cohort = dataclasses.replace(reader._cohort, images=reader._cohort.images.iloc[1:])
    large = FeatureReader(
        cohort, {p: p for p in PEOPLE}, reader._store, scratch=tmp_path / "scratch"
    ).read({"net": identity()}, [])
    assert isinstance(large.embeddings, LateEmbeddings)
    assert large.embeddings.matrix(["net"]).present.tolist() == [False, True, True, True]
    np.testing.assert_array_equal(large.embeddings["net"][1:], whole.embeddings["net"][1:])
    assert np.isnan(large.embeddings["net"][0]).all()
    assert large.of_patients(["P3", "P2"]).row_ids.tolist() == ["P2", "P3"]
