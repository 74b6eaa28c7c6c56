"""Imports that are killed lose nothing that was committed, and are finished by a repetition."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.import_kills import torture


@pytest.mark.slow
def test_a_killed_import_loses_nothing_and_is_taken_up(tmp_path: Path) -> None:
    seen = torture(tmp_path, kills=15, seed=1)
    assert seen["killed"] == 15
    assert seen["killed between two commits"] >= 3
