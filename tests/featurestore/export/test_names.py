"""Names that every program accepts, whatever the study calls its columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import DataError
from featurestore.export.names import MAX_CODED_NAME, RESERVED, export_name, export_names
from fusion.testing.export_tables import NAMES


@given(st.lists(NAMES, unique=True, max_size=40), st.randoms())
def test_names_follow_the_rule_and_depend_on_no_order(originals: list[str], random: object) -> None:
    names = export_names(originals)
    for name in names.values():
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name)
        assert name not in RESERVED
        assert not re.fullmatch(r"str\d+", name)
    assert len(set(names.values())) == len(originals)
    shuffled = list(originals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert export_names(shuffled) == names


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        ("age", "age"),
        ("mut_BRAF", "mut_braf"),
        ("if", "if_v"),
        ("_n", "n"),
        ("ALL", "all_v"),
        ("str12", "str12_v"),
        ("1st visit", "v_1st_visit"),
        ("Größe (mm)", "groe_mm"),
        ("p_fusion_head[all]", "p_fusion_head_all"),
        ("🦠", "v"),
    ],
)
def test_single_names(original: str, expected: str) -> None:
    assert export_name(original) == expected


def test_names_that_clash_are_told_apart_and_the_plain_one_stays() -> None:
    names = export_names(["a", "A", "á"])
    assert names["a"] == "a"
    assert len({*names.values()}) == 3
    assert all(re.fullmatch(r"a_[0-9a-f]{6}", names[k]) for k in ("A", "á"))


def test_names_of_coded_variables_leave_room_for_their_label_sets() -> None:
    long = "x" * 40
    assert len(export_names([long])[long]) == 32
    assert len(export_names([long], coded=[long])[long]) == MAX_CODED_NAME


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(DataError, match="same name: a"):
        export_names(["a", "a"])
