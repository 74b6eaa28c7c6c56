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
    with pytest.raises(LeakageError, match="trained on 1 of the patients to be scored: P2"):
        check_unseen(tuned, ["P3", "P2"])


def test_people_are_told_where_the_weights_come_from() -> None:
    assert FROZEN.origin == "weights random(seed=0)"
    tuned = dataclasses.replace(FROZEN, training_patients=("P1", "P2"), fold="0/3")
    assert tuned.origin == "fine-tuned on 2 patients of fold 0/3"
