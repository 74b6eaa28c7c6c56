"""The documents name every key, command and exit code there is."""

from __future__ import annotations

import importlib.util
import re
import typing
from pathlib import Path
from typing import Any

import click
import pydantic
import pytest
from locations import ROOT

import cli
from featurestore import errors
from featurestore.config import load_config
from featurestore.sources import SOURCES
from fusion.config import RunConfig


def sections(annotation: Any) -> set[type[pydantic.BaseModel]]:
    """All configuration models that can be reached from an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        inner = (f.annotation for f in annotation.model_fields.values())
        return {annotation}.union(*(sections(a) for a in inner))
    return set().union(*(sections(a) for a in typing.get_args(annotation)))


def commands(group: click.Group, prefix: str = "melafuse") -> list[str]:
    found = []
    for name, command in group.commands.items():
        full = f"{prefix} {name}"
        found += commands(command, full) if isinstance(command, click.Group) else [full]
    return found


def test_the_reference_pages_are_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "make_pages.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    for path, text in make.pages().items():
        assert path.read_text(encoding="utf-8") == text, "run `make docs`"
    page = make.configuration()
    assert [line for line in page.splitlines() if line.endswith("|  |")] == []
    models = sections(RunConfig).union(*(sections(s) for s in SOURCES.values()))
    assert len(models) > 15
    for model in models:
        for key in model.model_fields:
            assert f"| `{key}` |" in page or key == "kind", (model, key)


def test_every_command_and_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in commands(cli.cli):
        assert f"`{command} " in text or f"`{command}`" in text, command
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.MelafuseError):
            assert f"\n| {error.exit_code} |" in text, error


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readmes_configuration_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "readme.yaml").write_text(block, encoding="utf-8")
        assert load_config(RunConfig, tmp_path / "readme.yaml").cohort.sources


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configurations_are_valid(path: Path) -> None:
    assert load_config(RunConfig, path).name == path.stem
