"""Wide tables in parts."""

from __future__ import annotations

import pandas as pd
import pytest
from export_example import noted

from featurestore.errors import ConfigError
from featurestore.export.labelling import labelled
from featurestore.export.splitting import split
from featurestore.export.variables import LabelledTable


def wide(n: int) -> LabelledTable:
    frame = pd.DataFrame({"id": ["a", "b"], **{f"x{i}": [i, -i] for i in range(n)}, "mark": "m"})
    table = noted(frame)
    made, _ = labelled(
        type(table)("wide", frame, notes=table.notes, key=("id",), repeated=("mark",))
    )
    return made


def test_parts_share_the_key_and_hold_every_variable_once() -> None:
    table = wide(23)
    parts = split(table, 10)
    assert [p.name for p in parts] == ["wide_part1", "wide_part2", "wide_part3"]
    assert all(len(p.variables) <= 10 for p in parts)
    for part in parts:
        assert [v.name for v in part.variables[:2]] == ["id", "mark"]
        assert part.split_from == "wide"
    found = [v.name for p in parts for v in p.variables[2:]]
    assert found == [f"x{i}" for i in range(23)]


def test_a_table_within_the_limit_stays_whole() -> None:
    table = wide(8)
    assert split(table, 10) == [table]


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no room beside the 2 variables"):
        split(wide(8), 2)
