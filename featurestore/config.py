"""One YAML file a run, checked key by key: loading, overrides, and the cohort and fold sections.

Every section forbids unknown keys, so a typo is an error and never a silent default.
"""

from __future__ import annotations

import difflib
import errno
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from featurestore import bounded
from featurestore.errors import ConfigError, redacted
from featurestore.yaml_text import parse_yaml_words

MAX_CONFIG_BYTES = 1_000_000


class Section(pydantic.BaseModel):
    """Base of all configuration sections: immutable, and unknown keys are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _scalar_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, pydantic.BeforeValidator(_scalar_text)]
"""Text of a data file, also where a program hands over a number or a truth."""


class FoldsConfig(Section):
    """How patients are split: grouped, stratified, repeated k-fold.

    Attributes:
        n_folds: Outer folds a repeat.
        repeats: Repeats with other shuffles.
    """

    n_folds: int = pydantic.Field(5, ge=2, le=50)
    repeats: int = pydantic.Field(1, ge=1, le=100)


ModelT = TypeVar("ModelT", bound=pydantic.BaseModel)


def load_config(schema: type[ModelT], path: Path, overrides: Sequence[str] = ()) -> ModelT:
    """Reads a YAML file, applies `a.b=value` overrides and validates the result.

    Args:
        schema: Pydantic model of the whole file.
        path: The YAML file.
        overrides: Texts of the form `dotted.key=YAML value`; list items are addressed by index.

    Raises:
        ConfigError: The file cannot be read, is no YAML mapping, an override is malformed, or a
            key or value is not allowed; the message names key, value and what is allowed.
    """
    record = _read_yaml(path)
    for override in overrides:
        _apply_override(record, override)
    return validate(schema, record, str(path))


def validate(schema: type[ModelT], record: Mapping[str, Any], where: str) -> ModelT:
    """Validates a plain record and turns pydantic's findings into one-line messages."""
    try:
        return schema.model_validate(record)
    except pydantic.ValidationError as error:
        findings = [_explain(schema, finding) for finding in _first_causes(error.errors())]
        raise ConfigError(f"{where}: " + "; ".join(dict.fromkeys(findings))) from None


def dump_config(config: pydantic.BaseModel) -> str:
    """Returns the configuration with all defaults filled in, as YAML; passwords are left out."""
    record = config.model_dump(mode="json")
    return redacted(yaml.safe_dump(record, sort_keys=False, allow_unicode=True))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        record = parse_yaml_words(bounded.read_text(path, MAX_CONFIG_BYTES))
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ConfigError(
                f"{path}: larger than {MAX_CONFIG_BYTES:,} bytes; is it a config?"
            ) from None
        raise ConfigError(f"cannot read the config {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a UTF-8 text file; is it a config?") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(record, dict):
        raise ConfigError(f"{path}: a config is a mapping of keys; this holds {_kind(record)}")
    return record


def _apply_override(record: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override!r}: write it as key.subkey=value")
    try:
        value = parse_yaml_words(text)
    except ValueError:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML") from None
    node: Any = record
    parts = key.strip().split(".")
    for part in parts[:-1]:
        node = _descend(node, part, override)
    last = parts[-1]
    if isinstance(node, list):
        node[_index(node, last, override)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {override!r}: {parts[-2]!r} is a value, it has no key {last!r}")


def _descend(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override)]
    if not isinstance(node, dict):
        raise ConfigError(f"--set {override!r}: there is no mapping above {part!r}")
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(
            f"--set {override!r}: {part!r} is not an index of a list of {len(node)} items"
        )
    return int(part)


def _first_causes(findings: Sequence[Any]) -> list[Any]:
    """Leaves out what only follows from a finding deeper inside the same value."""
    locations = [tuple(finding["loc"]) for finding in findings]
    return [
        finding
        for finding, location in zip(findings, locations, strict=True)
        if not any(len(o) > len(location) and o[: len(location)] == location for o in locations)
    ]


def _explain(schema: type[pydantic.BaseModel], finding: Any) -> str:
    location = finding["loc"]
    key, _ = _walk(schema, location)
    if finding["type"] == "extra_forbidden":
        _, models = _walk(schema, location[:-1])
        allowed = sorted({name for model in models for name in model.model_fields})
        near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listing = f" (allowed: {', '.join(allowed)})" if allowed else ""
        return f"unknown key {key!r}{hint}{listing}"
    if finding["type"] == "missing":
        return f"key {key!r} is required"
    message = finding["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if finding["type"] == "value_error" and isinstance(finding["input"], Mapping):
        return f"{key}: {message}"  # of several keys together, which the message names
    return f"{key} = {_shown(finding['input'])}: {message}"


def _shown(value: object) -> str:
    """A value as it was given; of a long one only its beginning."""
    is_number = isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", value)
    text = str(value) if is_number else redacted(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _walk(schema: type[pydantic.BaseModel], location: Sequence[Any]) -> tuple[str, list[Any]]:
    """Follows a pydantic error location through the schema.

    Returns:
        The key as the file has it (pydantic also names the kind of a source, which is no key), and
        the models that may stand there.
    """
    models: list[Any] = [schema]
    key: list[str] = []
    for k, part in enumerate(location):
        holders = [m for m in models if part in m.model_fields]
        tagged = [m for m in models if _tag(m) == part]
        inside = models and isinstance(part, str) and k < len(location) - 1
        if not holders and (tagged or inside):
            models = tagged or models
            continue
        key.append(str(part))
        if holders:
            models = [f for m in holders for f in _models_in(m.model_fields[part].annotation)]
    return ".".join(key) or "the file", models


def _models_in(annotation: Any) -> list[Any]:
    if _is_model(annotation):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType) or typing.get_args(
        annotation
    ):
        return [m for a in typing.get_args(annotation) for m in _models_in(a)]
    return []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _tag(model: type[pydantic.BaseModel]) -> str | None:
    """What pydantic calls a member of a union: its kind, or the tag that the class states."""
    stated: str | None = getattr(model, "union_tag", None)
    if stated is not None:
        return stated
    field = model.model_fields.get("kind")
    values = typing.get_args(field.annotation) if field else ()
    return str(values[0]) if values else None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
