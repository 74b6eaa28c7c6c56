"""Places of levels, against what the AJCC manual says that they mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.tables.ordering import places, spans
from featurestore.tables.vocabulary import VOCABULARY


def levels(name: str) -> tuple[str, ...]:
    return VOCABULARY[name].column.levels


def test_a_stage_that_contains_finer_ones_lies_where_they_do_on_average() -> None:
    found = places(levels("stage"))
    expected = ["0", "IA", "IB", "IC", "IIA", "IIB", "IIC", "IIIA", "IIIB", "IIIC", "IIID", "IV"]
    assert [found[level] for level in expected] == list(range(12))
    assert found["I"] == found["IB"] == 2
    assert found["II"] == np.mean([found[x] for x in ("IIA", "IIB", "IIC")]) == 5
    assert found["III"] == np.mean([found[x] for x in ("IIIA", "IIIB", "IIIC", "IIID")]) == 8.5
    assert found["IIA"] < found["II"] < found["IIC"], "II is not below all of its parts"
    assert spans(levels("stage"))["II"] == (4, 6)


def test_depth_of_the_primary() -> None:
    found = places(levels("t_stage"))
    assert "T0" not in found, "no primary was found: it has no depth"
    assert found["Tis"] == 0 < found["T1a"] == 1 < found["T1b"] == 2
    assert found["T1"] == 1.5
    assert found["T4"] == np.mean([found["T4a"], found["T4b"]]) == 7.5
    assert max(found.values()) == 8


def test_nodes_metastases_and_clark_levels() -> None:
    nodes = places(levels("n_stage"))
    assert [nodes[x] for x in ("N0", "N1a", "N1", "N1c", "N2", "N3")] == [0, 1, 2, 3, 5, 8]
    distant = places(levels("m_stage"))
    assert [distant[x] for x in ("M0", "M1a", "M1", "M1d")] == [0, 1, 2.5, 4]
    assert places(levels("clark_level")) == {x: k for k, x in enumerate(levels("clark_level"))}


@pytest.mark.parametrize(
    "plain",
    [("low", "high"), ("T0", "other"), ("I", "II", "III", "IV"), ("1", "2a", "3"), ("A", "AB")],
)
def test_other_levels_are_one_step_apart(plain: tuple[str, ...]) -> None:
    assert places(plain) == {level: float(k) for k, level in enumerate(plain)}


@given(st.lists(st.text(max_size=4), min_size=2, max_size=12, unique=True))
def test_every_level_has_a_place_inside_its_span_or_none(names: list[str]) -> None:
    found, ends = places(tuple(names)), spans(tuple(names))
    assert found.keys() == ends.keys() <= set(names)
    for level, place in found.items():
        low, high = ends[level]
        assert 0 <= low <= place <= high <= len(names) - 1
