"""The registered sources; a new one is one class and one line here."""

from __future__ import annotations

import typing
from typing import Annotated

import pydantic

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

SourceSection = Annotated[AnySource, pydantic.Field(discriminator="kind")]
"""A `cohort.sources` entry: `kind` decides which source's keys are allowed."""

SOURCES: dict[str, type[Source]] = {
    source.model_fields["kind"].default: source for source in typing.get_args(AnySource)
}
"""Class of each source by its `kind`."""

__all__ = ["SOURCES", "AnySource", "ReadContext", "Source", "SourceSection", "SourceTables"]
