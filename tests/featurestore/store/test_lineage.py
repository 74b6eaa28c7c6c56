"""An identity changes with everything that changes an embedding, and guards its patients."""

from __future__ import annotations

import dataclasses
import json

import pytest

from featurestore.errors import LeakageError, StoreError
from featurestore.store.lineage import EncoderIdentity, check_unseen

FROZEN = EncoderIdentity(
    backbone="resnet18",
    weights="random(seed=0)",
    weights_sha256="ab" * 32,
    preprocessing='{"size": 224}',
    pooling="avg",
    dimension=512,
)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "resnet34"},
        {"weights_sha256": "cd" * 32},
        {"preprocessing": '{"size": 256}'},
        {"pooling": "max"},
        {"dimension": 256},
        {"dtype": "bfloat16"},
        {"training_patients": ("P1",)},
    ],
)
def test_what_changes_an_embedding_changes_the_identity(change: dict[str, object]) -> None:
    assert dataclasses.replace(FROZEN, **change).digest != FROZEN.digest  # type: ignore[arg-type]


def test_names_for_people_do_not_change_the_identity() -> None:
    renamed = dataclasses.replace(FROZEN, weights="file")
    assert renamed.digest == FROZEN.digest
    one = dataclasses.replace(FROZEN, training_patients=("P1", "P2"))
    other = dataclasses.replace(FROZEN, training_patients=("P2", "P1"))
    assert one.digest == other.digest


def test_json_round_trip_and_tampering() -> None:
    tuned = dataclasses.replace(FROZEN, training_patients=("P1", "P2"), fold="0/3")
    assert EncoderIdentity.from_json(tuned.to_json()) == tuned
    record = json.loads(tuned.to_json())
    record["training_patients"] = ["P1"]
    with pytest.raises(StoreError, match="edited"):
        EncoderIdentity.from_json(json.dumps(record))
    with pytest.raises(StoreError, match="not an encoder identity"):
        EncoderIdentity.from_json("{}")


def test_a_seen_patient_is_never_scored() -> None:
    tuned = dataclasses.replace(FROZEN, training_patients=("P1", "P2"))
    check_unseen(tuned, ["P3"])
    check_unseen(FROZEN, ["P1"])
    with pytest.raises(LeakageError, match="trained on 1 of those to be scored: P2"):
        check_unseen(tuned, ["P3", "P2"])


def test_people_are_told_where_the_weights_come_from() -> None:
    assert FROZEN.origin == "weights random(seed=0)"
    assert FROZEN.making == FROZEN.origin
    by_onnx = dataclasses.replace(FROZEN, dtype="float32, onnx")
    assert by_onnx.making == "weights random(seed=0), float32, onnx"
    tuned = dataclasses.replace(FROZEN, training_patients=("P1", "P2"), fold="0/3")
    assert tuned.origin == "fine-tuned on 2 training ids of fold 0/3"


def imported(**changes: object) -> EncoderIdentity:
    fields = {"trained_on": "unknown", "version": "2", "weights": "3 trident files"}
    return dataclasses.replace(FROZEN, **(fields | changes))  # type: ignore[arg-type]


def test_what_is_known_of_an_encoder_from_elsewhere_is_part_of_its_identity() -> None:
    one = imported()
    assert EncoderIdentity.from_json(one.to_json()) == one
    assert one.is_imported
    assert not FROZEN.is_imported
    others = [imported(trained_on="none"), imported(version="3"), FROZEN]
    assert len({one.digest, *(o.digest for o in others)}) == 4
    assert one.origin == "imported 2 from 3 trident files, trained on: unknown"


def test_identities_of_earlier_stores_are_read_and_written_as_before() -> None:
    record = json.loads(FROZEN.to_json())
    assert record.keys().isdisjoint({"trained_on", "version"})
    assert EncoderIdentity.from_json(json.dumps(record)) == FROZEN
    # The digest of this identity in stores of 0.2.0.
    assert FROZEN.digest == ("677dc6511d64930d6a11b036b39f0bd1f5296e9843c6963d5afa1cec078a31b9")


@pytest.mark.parametrize("scored", ["TCGA-ER-A2N0", "tcga.er.a2n0", " TCGA-ER-A2N0 "])
def test_listed_patients_are_refused_however_they_are_spelled(scored: str) -> None:
    one = imported(trained_on="listed", training_patients=("TCGA-ER-A2N0", "x"))
    with pytest.raises(LeakageError, match="was trained on 1 of those to be scored"):
        check_unseen(one, [scored, "TCGA-ER-A2N1"])
    check_unseen(one, ["TCGA-ER-A2N1"])
