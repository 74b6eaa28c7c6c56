"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib

from locations import ROOT
from packaging.requirements import Requirement

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


def declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        requirement
        for group in [project["dependencies"], *project["optional-dependencies"].values()]
        for requirement in group
    ]


def locked() -> dict[str, list[str]]:
    """Each line of the lock that names a version, and the digests below it."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        bare = line.removesuffix("\\").strip()
        if bare.startswith("--hash="):
            found[list(found)[-1]].append(bare)
        elif not bare.startswith("#"):
            found[bare] = []
    return found


def test_the_lock_pins_what_is_declared() -> None:
    pinned: dict[str, list[str]] = {}  # several where platforms differ
    for requirement in map(Requirement, locked()):
        (version,) = requirement.specifier
        assert version.operator == "=="
        pinned.setdefault(canonical(requirement.name), []).append(version.version)
    for requirement in map(Requirement, declared()):
        for locked_at in pinned[canonical(requirement.name)]:
            assert requirement.specifier.contains(locked_at), f"{requirement}: {locked_at}"


def test_the_lock_has_digests_and_names_no_host() -> None:
    for line, digests in locked().items():
        assert digests, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", d) for d in digests), line
        assert "/" not in line
        assert " @ " not in line


def test_what_is_installed_is_what_is_locked() -> None:
    installed = {canonical(d.name): d.version for d in importlib.metadata.distributions()}
    for requirement in map(Requirement, locked()):
        version = installed.get(canonical(requirement.name))  # extras may be left out
        if version and (requirement.marker is None or requirement.marker.evaluate()):
            assert requirement.specifier.contains(version), f"{requirement}: {version}"
