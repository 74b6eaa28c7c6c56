"""Leaks of many kinds, planted alone: each fires the check that looks for its kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_example import run_one
from leak_example import LEAKS


@pytest.mark.parametrize("name", LEAKS)
def test_leak_fires_its_check_and_is_named(name: str, tmp_path: Path) -> None:
    plant, check, subjects = LEAKS[name]
    result = run_one(check, plant(tmp_path))
    assert result.status == "fired", result.note
    named = {subject for hit in result.hits for subject in hit.subjects}
    assert set(subjects) <= named
    assert all(hit.text.endswith(".") for hit in result.hits)
