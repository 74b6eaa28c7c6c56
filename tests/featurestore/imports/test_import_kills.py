"""Imports that are killed lose nothing that was committed, and are finished by a repetition."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.import_kills import torture


@pytest.mark.slow
def test_a_killed_import_loses_nothing_and_is_taken_up(tmp_path: Path) -> None:
    seen = torture(tmp_path, kills=15, seed=1)
    assert seen["killed"] == 15
    # How many fell between two commits depends on the machine; what was lost is looked for inside.
