"""Writes docs/configuration.md from the configuration's own classes: `make docs`.

Every key's meaning is the line of its class's docstring, so page and code cannot drift apart; a
test compares the page with what this prints.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from featurestore.sources import SOURCES  # noqa: E402
from fusion.config import RunConfig  # noqa: E402

PAGE = ROOT / "docs" / "configuration.md"
HEADER = """\
# Configuration

One YAML file a run. Unknown keys are errors, and errors name the key, the value and what is
allowed. `--set KEY=VALUE` overrides any key (`--set extract.backbones.0.weights=imagenet`).
Relative paths start at the configuration's folder, or at `--data-root`. Every run writes the
configuration with all defaults filled in to `config.yaml` in its folder.

This page is made from the code by `make docs`.
"""

Model = type[pydantic.BaseModel]


def page() -> str:
    """The whole page."""
    seen: dict[Model, str] = {}
    for path, model in _walk("", RunConfig):
        seen.setdefault(model, path)
    for kind, source in SOURCES.items():
        for path, model in _walk(f"cohort.sources, kind {kind}", source):
            seen[model] = path if model is source else seen.get(model, path)
    return HEADER + "".join(_section(path, model) for model, path in seen.items())


def _walk(path: str, model: Model) -> Iterator[tuple[str, Model]]:
    """A section, then those inside it, depth first."""
    yield path, model
    for name, field in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        for inner in _models(field.annotation):
            if inner not in SOURCES.values():
                yield from _walk(below, inner)


def _models(annotation: Any) -> list[Model]:
    if inspect.isclass(annotation) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]


def _section(path: str, model: Model) -> str:
    first, meanings = _docstring(model)
    lines = [f"\n## `{path or '(top level)'}`\n", first, "", "| key | default | meaning |"]
    lines.append("|---|---|---|")
    for name, field in model.model_fields.items():
        if name == "kind" and len(typing.get_args(field.annotation)) == 1:
            continue
        meaning = meanings.get(name, "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _docstring(model: Model) -> tuple[str, dict[str, str]]:
    """First sentence of a class, and what its docstring says of each attribute."""
    meanings: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        text = inspect.cleandoc(owner.__doc__ or "")
        _, _, listed = text.partition("Attributes:\n")
        name = ""
        for line in listed.splitlines():
            begun = re.match(r" {4}(\w+): (.*)", line)
            if begun:
                name = begun.group(1)
                meanings[name] = begun.group(2)
            elif name and line.startswith(" " * 8):
                meanings[name] += " " + line.strip()
            else:
                name = ""
    return inspect.getdoc(model).split("\n")[0], meanings  # type: ignore[union-attr]


def _default(field: pydantic.fields.FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)  # type: ignore[call-arg]
    if isinstance(value, pydantic.BaseModel):
        return "section"
    if isinstance(value, tuple):
        return ", ".join(_plain(item) for item in value) or "none"
    return "none" if value is None or value == "" else f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, pydantic.BaseModel):
        record = value.model_dump(mode="json", exclude_defaults=True)
        return "{" + ", ".join(f"{k}: {v}" for k, v in record.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
