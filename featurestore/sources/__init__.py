"""The registered sources; a new one is one class and one line here, or an entry point.

An installed package registers a source of its own under `melafuse.sources`, by the source's `kind`.
"""

from __future__ import annotations

import typing
from typing import Annotated, Any

import pydantic

from featurestore.config import Section
from featurestore.errors import ConfigError
from featurestore.plugins import plugins
from featurestore.sources.base import ReadContext, Source, SourceTables
from featurestore.sources.biotab import BiotabSource
from featurestore.sources.cbioportal import CbioportalSource
from featurestore.sources.collection import CollectionSource
from featurestore.sources.gdc import GdcSource
from featurestore.sources.isic import IsicSource
from featurestore.sources.synthetic import SyntheticSource
from featurestore.sources.table import TableSource
from featurestore.sources.tcga_cdr import TcgaCdrSource
from featurestore.sources.xena import XenaSource

AnySource = typing.Union[  # noqa: UP007 - one source a line
    BiotabSource,
    CbioportalSource,
    CollectionSource,
    GdcSource,
    IsicSource,
    SyntheticSource,
    TableSource,
    TcgaCdrSource,
    XenaSource,
]
"""Union of the registered sources."""

SOURCES: dict[str, type[Source]] = {
    source.model_fields["kind"].default: source for source in typing.get_args(AnySource)
}
"""Class of each source by its `kind`."""


def source_kinds() -> tuple[str, ...]:
    """Kinds of all sources: ours, then those of installed packages."""
    return (*SOURCES, *(name for name in plugins("melafuse.sources") if name not in SOURCES))


def find_source(kind: str) -> type[Source]:
    """Looks the class of a source up by its `kind`.

    Raises:
        ConfigError: Nothing has this kind, or the package that registers it brings no source.
    """
    if kind in SOURCES:
        return SOURCES[kind]
    plugin = plugins("melafuse.sources").get(kind)
    if plugin is None:
        raise ConfigError(f"no source is of the kind {kind!r}; known: {', '.join(source_kinds())}")
    found = plugin.load()
    whole = isinstance(found, type) and issubclass(found, Section) and hasattr(found, "read")
    if not whole or found.model_fields.get("kind", _NO_FIELD).default != kind:
        raise ConfigError(
            f"source {kind!r} of {plugin.distribution} {plugin.version}: it must be a Section with "
            f"a method `read` and the key `kind: Literal[{kind!r}] = {kind!r}`"
        )
    return typing.cast(type[Source], found)


_NO_FIELD = pydantic.fields.FieldInfo()


def _section(value: Any, ours: pydantic.ValidatorFunctionWrapHandler) -> Any:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    if not isinstance(kind, str) or kind in SOURCES:
        return ours(value)
    try:
        found: Any = find_source(kind)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return found.model_validate(value)


SourceSection = Annotated[
    pydantic.SerializeAsAny[Annotated[AnySource, pydantic.Field(discriminator="kind")]],
    pydantic.WrapValidator(_section),
]
"""A `cohort.sources` entry: `kind` decides which source's keys are allowed."""

__all__ = [
    "SOURCES",
    "AnySource",
    "ReadContext",
    "Source",
    "SourceSection",
    "SourceTables",
    "find_source",
    "source_kinds",
]
