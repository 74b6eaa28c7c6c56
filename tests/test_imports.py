"""Imports run in one direction: cli -> fusion -> extractor -> featurestore."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("featurestore", "extractor", "fusion", "cli")  # each may import those before it
FORBIDDEN = {"featurestore": {"torch", "torchvision", "timm", "lightgbm", "optuna"}}


def files_of(room: str) -> list[Path]:
    return [ROOT / "cli.py"] if room == "cli" else sorted((ROOT / room).rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_above_it(room: str) -> None:
    files = files_of(room)
    assert files
    above = set(ROOMS[ROOMS.index(room) + 1 :])
    for file in files:
        assert not imported(file) & (above | FORBIDDEN.get(room, set())), file
