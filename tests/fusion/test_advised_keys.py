"""Every configuration key that a sentence of ours names exists, so that its advice can be taken.

Sentences are string literals of the source but for docstrings, templates, and the pages for users.
A key is `section.key`, as deep as it goes, or `key: value` between backticks.
"""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pydantic
import pytest
from locations import ROOT

from featurestore.sources import SOURCES
from fusion.config import RunConfig

ROOMS = ("featurestore", "extractor", "fusion")
SECTIONS = tuple(n for n in RunConfig.model_fields if n not in ("name", "seed", "store", "project"))
FILES = "csv|parquet|json|html|yaml|md|tex|h5|py|lock|xlsx|txt|zip|jinja"
DOTTED = re.compile(rf"(?<![\w./@])(?:{'|'.join(SECTIONS)})(?:\.[a-z_][a-z0-9_]*)+(?![\w(/])")
QUOTED = re.compile(r"`([a-z_]+): [^`]+`")
CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
"""What a template computes."""


def sections_in(annotation: object) -> Iterator[type[pydantic.BaseModel]]:
    """Sections anywhere in a type."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from sections_in(part)


def has_free_keys(annotation: object) -> bool:
    """Whether a type is, or may be, a mapping whose keys are the user's."""
    parts = typing.get_args(annotation)
    return typing.get_origin(annotation) is dict or any(map(has_free_keys, parts))


def exists(path: str) -> bool:
    """Whether a dotted path leads to a key of the schema, or to one that a user chooses."""
    found: list[type[pydantic.BaseModel]] = [RunConfig]
    keys = iter(path.split("."))
    for key in keys:
        fields = [s.model_fields[key] for s in found if key in s.model_fields]
        if not fields:
            return False
        found = [s for field in fields for s in sections_in(field.annotation)]
        found += SOURCES.values() if key == "sources" else []
        if any(has_free_keys(field.annotation) for field in fields):
            next(keys, None)
    return True


@cache
def all_keys() -> frozenset[str]:
    """Keys of all sections, those of sources too."""
    waiting: list[type[pydantic.BaseModel]] = [RunConfig, *SOURCES.values()]
    seen: set[type[pydantic.BaseModel]] = set()
    while waiting:
        section = waiting.pop()
        if section not in seen:
            seen.add(section)
            for field in section.model_fields.values():
                waiting += sections_in(field.annotation)
    return frozenset(key for section in seen for key in section.model_fields)


def literals(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string of a module that is no docstring; f-strings as one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documented | inside
        ):
            yield node.lineno, node.value


@cache
def sentences() -> tuple[tuple[str, str], ...]:
    """Where each sentence stands, and the sentence."""
    return tuple(_sentences())


def _sentences() -> Iterator[tuple[str, str]]:
    modules = [ROOT / "cli.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
    for path in sorted(modules):
        for line, text in literals(path):
            yield f"{path.relative_to(ROOT)}:{line}", text
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    for path in sorted([*pages, *(p for r in ROOMS for p in (ROOT / r).rglob("*.jinja"))]):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", CODE.sub("…", text)


def named_keys(text: str) -> Iterator[str]:
    """Dotted keys in a sentence."""
    for match in DOTTED.finditer(text):
        if not re.search(rf"\.({FILES})$", match[0]):
            yield match[0]


def test_every_key_that_is_advised_exists() -> None:
    found = [(where, key) for where, text in sentences() for key in named_keys(text)]
    assert len({key for _, key in found}) > 40  # the walk finds what there is
    assert [f"{where}: {key}" for where, key in found if not exists(key)] == []


def test_every_setting_between_backticks_is_a_key() -> None:
    found = [(where, key) for where, text in sentences() for key in QUOTED.findall(text)]
    assert {"pool", "download"} <= {key for _, key in found}
    assert [f"{where}: {key}" for where, key in found if key not in all_keys()] == []


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("ablation.modalities.derm.role", True),
        ("ablation.head.epochs", True),
        ("cohort.outcome.as_of", True),
        ("finetune.external.sources", True),
        ("cohort.sources.images.role", True),
        ("ablation.modalities.derm.parole", False),
        ("ablation.roles", False),
        ("cohort.known_at", False),
        ("extract.backbones.dropout", False),
    ],
)
def test_a_path_leads_through_the_schema_or_nowhere(path: str, known: bool) -> None:
    assert exists(path) is known


def test_what_is_a_key_and_what_a_file() -> None:
    said = "see time_ladder.csv; set ablation.jobs=2, or cohort.use_anyway. fusion.export.x is code"
    assert list(named_keys(said)) == ["ablation.jobs", "cohort.use_anyway"]
