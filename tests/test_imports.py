"""Imports run in one direction: cli -> fusion -> extractor -> featurestore."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from locations import ROOT

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


ALONE = """
import importlib, pkgutil, sys
import torch, timm, lightgbm, optuna, distributed  # kept: only our own modules are dropped below
rooms = [importlib.import_module(name) for name in ("featurestore", "extractor", "fusion")]
walk = pkgutil.walk_packages
names = [m.name for room in rooms for m in walk(room.__path__, room.__name__ + ".")]
own = ("featurestore", "extractor", "fusion")
bad = []
for name in names:
    for known in [n for n in sys.modules if n.split(".")[0] in own]:
        del sys.modules[known]
    try:
        importlib.import_module(name)
    except ImportError as error:
        bad.append(f"{name}: {error}")
print(len(names), bad)
"""


@pytest.mark.slow
def test_every_module_can_be_imported_first() -> None:
    """A circle of imports shows only where the wrong one of its modules comes first."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.split(maxsplit=1)
    assert int(count) > 100
    assert found.strip() == "[]"
