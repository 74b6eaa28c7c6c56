"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib

from locations import ROOT

OWN = {"featurestore", "extractor", "fusion", "cli"}
# Imported by timm on our behalf, and pinned here because it must fit torch.
INDIRECT = {"torchvision"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert match is not None, requirement
    return canonical(match.group())


def imported_distributions() -> set[str]:
    owners = importlib.metadata.packages_distributions()
    found: set[str] = set()
    files = [ROOT / "cli.py", *(p for room in OWN - {"cli"} for p in (ROOT / room).rglob("*.py"))]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names = [node.module]
            for top in {name.split(".")[0] for name in names} - OWN:
                if top not in sys.stdlib_module_names:
                    assert top in owners, f"{file}: {top} is of no installed distribution"
                    found |= {canonical(owner) for owner in owners[top]}
    return found


def test_imports_and_declarations_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {requirement_name(r) for r in project["dependencies"]}
    extras = {
        requirement_name(r)
        for name, group in project["optional-dependencies"].items()
        if name != "dev"
        for r in group
    }
    imported = imported_distributions()
    assert imported - required - extras == set(), "imported but not declared"
    assert required - imported - INDIRECT == set(), "declared but not imported"


def test_the_lock_pins_every_declared_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        requirement_name(r)
        for group in [project["dependencies"], *project["optional-dependencies"].values()]
        for r in group
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {requirement_name(line) for line in lines if line and not line.startswith("#")}
    assert declared - pinned == set()
    assert all("://" not in line for line in lines)
