"""The house: imports run downwards only, past no package's surface, and what is light stays so."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from locations import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from floors import FLAT, FLOORS, imports, modules, package_of

HEAVY = ["torch", "torchvision", "timm", "lightgbm", "optuna"]
MOST_ARGUMENTS, MOST_LINES, MOST_IMPORTERS = 8, 400, 2


def test_every_package_is_a_floor() -> None:
    assert {package_of(module) for module in modules()} == set(FLOORS)


def test_no_import_runs_up() -> None:
    up = [
        one
        for one in imports()
        if FLOORS.index(package_of(one.imported)) > FLOORS.index(package_of(one.importer))
    ]
    assert up == []


def test_what_many_packages_need_is_in_a_surface() -> None:
    """A module of a package that more than two others import is imported through the package."""
    importers: dict[str, set[str]] = defaultdict(set)
    paths = modules()
    for one in imports():
        own = package_of(one.imported)
        if own in FLAT or paths[one.imported].name == "__init__.py":
            continue  # a package inside a package is a surface too
        if package_of(one.importer) != own:
            importers[one.imported].add(package_of(one.importer))
    past = {module: sorted(who) for module, who in importers.items() if len(who) > MOST_IMPORTERS}
    assert past == {}


def test_data_at_rest_needs_no_network_and_no_trees() -> None:
    for module, path in modules().items():
        found = libraries(path)
        if module.split(".")[0] == "featurestore":
            assert not found & set(HEAVY), module


def libraries(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            found.add((node.module or "").split(".")[0])
    return found


DESCRIBE = """
import cli
command = ["cohort", "describe", "tests/tiny.yaml", "--out", sys.argv[1]]
cli.cli(command, standalone_mode=False)
"""


@pytest.mark.parametrize(
    "code",
    ["import fusion.metrics", "import fusion.models", "import fusion.evidence", DESCRIBE],
    ids=["metrics", "models", "evidence", "describe"],
)
def test_what_fits_nothing_loads_no_model(code: str, tmp_path: Path) -> None:
    watched = f"import sys\n{code}\nprint('loaded', *(n for n in {HEAVY} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", watched, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded"]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short() -> None:
    paths = [*modules().values(), *(ROOT / "tests").rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    long = {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > MOST_LINES}
    assert long == {}


def test_functions_take_few_arguments() -> None:
    for module, path in modules().items():
        for function in functions(path):
            arguments = function.args
            given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            named = [a for a in given if a.arg not in ("self", "cls")]
            assert len(named) <= MOST_ARGUMENTS, f"{module}.{function.name}"


def at_import(body: list[ast.stmt]) -> Iterator[str]:
    """Names of modules, or of what stands in them, that are imported while a module is."""
    for node in body:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from at_import(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.ClassDef):
            yield from at_import([*node.body, *getattr(node, "orelse", ())])


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """What must have been imported before each module; with a module come the packages above it.

    Args:
        sources: Text of each module, by its name.
    """
    found: dict[str, set[str]] = {}
    for module, text in sources.items():
        needs: set[str] = set()
        for name in at_import(ast.parse(text).body):
            target = name if name in sources else name.rpartition(".")[0]
            if target not in sources:
                continue
            above = (target.rsplit(".", k)[0] for k in range(1, target.count(".") + 1))
            needs |= {target, *(p for p in above if not f"{module}.".startswith(f"{p}."))}
        found[module] = needs - {module}
    return found


def circle(sources: Mapping[str, str]) -> list[str]:
    """Modules of a circle of imports; none where there is none."""
    try:
        graphlib.TopologicalSorter(graph(sources)).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_every_module_can_be_imported_first() -> None:
    """A circle of imports shows only where the wrong one of its modules comes first."""
    assert (
        circle({name: path.read_text(encoding="utf-8") for name, path in modules().items()}) == []
    )


def test_a_circle_is_found_also_through_a_package() -> None:
    through = {"a": "from b.x import f", "a.y": "g = 1", "b": "", "b.x": "from a.y import g\nf = 1"}
    assert set(circle(through)) == {"a", "b.x"}
    inside = {"a": "from a.x import f\nlate = 1", "a.x": "from a import late\nf = 1"}
    assert set(circle(inside)) == {"a", "a.x"}
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import late\nf = 1"
    assert circle(inside | {"a.x": typed}) == []
