"""Roles of images: who has which, and when they belong together."""

from __future__ import annotations

import pandas as pd

from featurestore.cohort.roles import image_roles, role_notes, roles_by_embedding, roles_of_images
from featurestore.units import NOUNS


def _images(rows: list[tuple[str, str | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["patient_id", "image_role"])
    return table.assign(image_id=[f"I{k}" for k in range(len(rows))], path="a.png")


PAIRS = [("A", "derm"), ("A", "clinic"), ("B", "clinic"), ("B", "derm"), ("C", "derm")]


def test_pairs_of_most_patients_belong_together() -> None:
    found = image_roles(_images(PAIRS))
    assert dict(found.counts) == {"clinic": 2, "derm": 3}
    assert (found.unsaid, found.patients, found.several) == (0, 3, 2)
    assert found.are_paired


def test_roles_that_part_patients_are_no_pairs() -> None:
    """Two collections, one of close-ups and one of dermoscopy: the role says which it was."""
    parted = _images([("A", "derm"), ("B", "clinic"), ("C", "derm"), ("C", "derm")])
    assert image_roles(parted).names == ("clinic", "derm")
    assert not image_roles(parted).are_paired


def test_one_image_without_a_role_leaves_no_pairs() -> None:
    found = image_roles(_images([*PAIRS, ("D", None)]))
    assert found.unsaid == 1
    assert not found.are_paired
    assert roles_of_images(_images([("D", None)])).tolist() == [""]


def test_images_of_which_no_source_says_a_role() -> None:
    images = _images(PAIRS).drop(columns="image_role")
    assert image_roles(images).names == ()
    assert roles_of_images(images).tolist() == [""] * 5
    assert role_notes(images, NOUNS["patient"]) == ()


def test_embeddings_from_elsewhere_have_the_roles_of_their_images() -> None:
    images = _images(PAIRS)
    images.loc[4, "path"] = ""  # of this one only features are here
    found = roles_by_embedding(["net", "uni"], images, {"uni": ["I0", "I4"]})
    assert dict(found["net"].counts) == {"clinic": 2, "derm": 2}
    assert dict(found["uni"].counts) == {"derm": 2}


def test_the_note_counts_images_and_patients() -> None:
    (note,) = role_notes(_images([*PAIRS, ("D", None)]), NOUNS["lesion"])
    assert note == (
        "Images by role: 2 clinic, 3 derm, and 1 whose role nobody says; 2 of 4 lesions have "
        "images of more than one role."
    )
    assert role_notes(_images([("A", "derm"), ("A", "derm")]), NOUNS["patient"]) == ()
