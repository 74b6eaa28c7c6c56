"""Public collections as they are downloaded; a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from featurestore.sources.collections import (
    bcn20000,
    derm7pt,
    fitzpatrick17k,
    isic_2024,
    milk10k,
    pad_ufes_20,
    ph2,
)
from featurestore.sources.collections.base import Collection

COLLECTIONS: dict[str, Collection] = {
    module.COLLECTION.name: module.COLLECTION
    for module in (bcn20000, derm7pt, fitzpatrick17k, isic_2024, milk10k, pad_ufes_20, ph2)
}
"""The collections by name."""


def collection_of(header: Iterable[str]) -> Collection | None:
    """The collection that a file with this header belongs to, or None."""
    names = list(header)
    return next((c for c in COLLECTIONS.values() if c.role_of(names)), None)


__all__ = ["COLLECTIONS", "Collection", "collection_of"]
