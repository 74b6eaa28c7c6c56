"""The floors of the house, from the ground up, and what stands on what; read from the sources.

`docs/architecture.md` and its drawing are made from this, and a test holds every import against it.
"""

from __future__ import annotations

import ast
import dataclasses
import html
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FLOORS = (
    "featurestore",
    "featurestore.tables",
    "featurestore.images",
    "featurestore.outcomes",
    "featurestore.sources",
    "featurestore.cohort",
    "featurestore.store",
    "featurestore.imports",
    "featurestore.export",
    "extractor",
    "extractor.finetune",
    "fusion.config",
    "fusion.endpoints",
    "fusion",
    "fusion.metrics",
    "fusion.metrics.survival",
    "fusion.features",
    "fusion.models",
    "fusion.evaluation",
    "fusion.audit",
    "fusion.evidence",
    "fusion.report",
    "fusion.export",
    "fusion.study",
    "fusion.bundle",
    "fusion.publish",
    "fusion.predict",
    "fusion.serve",
    "fusion.start",
    "fusion.testing",
    "fusion.commands",
    "cli",
)
"""Packages, each standing only on those before it. The name of a room alone is its flat modules."""

ROOMS = ("featurestore", "extractor", "fusion", "cli")
FLAT = {
    "featurestore": "Ground floor: errors, files that are whole or absent, locks, configuration.",
    "extractor": "Decode, backbones and engines, extract, saliency, several processes.",
    "fusion": "Arms, paths of a run, provenance, the ledger of fits.",
    "cli": "The door: click commands, no logic.",
}


@dataclasses.dataclass(frozen=True)
class Import:
    """One import of our own code.

    Attributes:
        importer: Module that imports.
        imported: Module that is imported.
        name: What of it.
        line: Where.
    """

    importer: str
    imported: str
    name: str
    line: int


def modules() -> dict[str, Path]:
    """Every module by its dotted name; a package by the name of its folder."""
    found = {"cli": ROOT / "cli.py"}
    for room in ROOMS[:-1]:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def package_of(module: str) -> str:
    """The floor that a module belongs to."""
    parts = module.split(".")
    names = (".".join(parts[:depth]) for depth in (3, 2))
    return next((name for name in names if name in FLOORS), parts[0])


def imports() -> Iterator[Import]:
    """Every import of our own code anywhere in the sources, also inside functions."""
    known = modules()
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] in ROOMS:
                        yield Import(module, alias.name, "", node.lineno)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ROOMS:
                assert node.module is not None
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    target = inner if inner in known else node.module
                    yield Import(module, target, alias.name, node.lineno)


def stands_on() -> dict[str, set[str]]:
    """The floors that each floor imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in imports():
        above, below = package_of(one.importer), package_of(one.imported)
        if above != below:
            found[above].add(below)
    return found


def sentence(package: str) -> str:
    """What a floor is for: the first line of its docstring."""
    if package in FLAT:
        return FLAT[package]
    path = ROOT.joinpath(*package.split(".")) / "__init__.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def table() -> str:
    """The floors as a Markdown table, top floor first as in the drawing."""
    below = stands_on()
    lines = ["| floor | what it is for | stands on |", "|---|---|---|"]
    for package in reversed(FLOORS):
        own = [p for p in FLOORS if p in below[package]]
        name = f"{package} (flat)" if package in ROOMS[:-1] else package
        lines.append(f"| `{name}` | {sentence(package)} | {', '.join(f'`{p}`' for p in own)} |")
    return "\n".join(lines) + "\n"


def drawing() -> str:
    """The house as SVG: three rooms and a door, a bar for each floor."""
    wide, high, left = 900, 30, 150
    rows = list(reversed(FLOORS))
    colours = {
        "cli": "#5b6b7b",
        "fusion": "#7a5195",
        "extractor": "#bc5090",
        "featurestore": "#2f6f8f",
    }
    parts = []
    for place, package in enumerate(rows):
        y = 10 + place * high
        room = package.split(".")[0]
        name = package.partition(".")[2] or ("flat" if package in FLAT else package)
        name = "cli.py" if package == "cli" else name
        parts.append(
            f'<rect x="{left}" y="{y}" width="{wide - left - 10}" height="{high - 4}" rx="3" '
            f'fill="{colours[room]}"/>'
            f'<text x="{left + 10}" y="{y + 17}" fill="#fff" font-weight="600">{name}</text>'
            f'<text x="{left + 130}" y="{y + 17}" fill="#fff">'
            f"{html.escape(sentence(package))}</text>"
        )
    for room in ROOMS:
        places = [i for i, package in enumerate(rows) if package.split(".")[0] == room]
        middle = 10 + (places[0] + places[-1] + 1) * high / 2
        parts.append(
            f'<text x="{left - 14}" y="{middle + 3:g}" text-anchor="end" font-weight="700" '
            f'fill="{colours[room]}">{"the door" if room == "cli" else room}</text>'
        )
    body = "\n".join(parts)
    height = 20 + len(rows) * high
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {height}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" '
        f'aria-label="The floors of melafuse: each stands only on those below it">\n'
        f'<rect width="{wide}" height="{height}" fill="#fff"/>\n{body}\n</svg>\n'
    )
