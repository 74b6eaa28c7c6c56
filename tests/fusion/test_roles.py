"""Names of embeddings by role."""

from __future__ import annotations

from fusion.roles import by_role, encoder_of, encoders_of, finest, role_of


def test_a_name_is_taken_apart_as_it_was_made() -> None:
    name = by_role("vit_small.lvd", "total body tile")
    assert (encoder_of(name), role_of(name)) == ("vit_small.lvd", "total body tile")
    assert (encoder_of("resnet18"), role_of("resnet18")) == ("resnet18", "")


def test_embeddings_that_others_have_by_role_are_not_counted_twice() -> None:
    names = ["a", "b", "a@x", "a@y"]
    assert encoders_of(names) == ("a", "b")
    assert finest(names) == ("b", "a@x", "a@y")
