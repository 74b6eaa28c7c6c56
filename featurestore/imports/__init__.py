"""Embeddings from elsewhere: read, checked, pooled and imported into the store.

A format is one class in a file of its own and one line in `READERS`; the `.pt` reader needs torch
and is in `extractor.torch_features`.
"""

from featurestore.imports.base import Bag, Reader, ReadOptions, UnreadableFeatures
from featurestore.imports.config import EmbeddingConfig
from featurestore.imports.files import find_reader, look_for_files
from featurestore.imports.hdf5 import Hdf5Reader
from featurestore.imports.importing import Imported, import_embeddings
from featurestore.imports.npz import NpzReader
from featurestore.imports.owners import listed_patients
from featurestore.imports.stamp import StampReader
from featurestore.imports.trident import TridentReader
from featurestore.imports.wide import CsvReader, ParquetReader

READERS: tuple[Reader, ...] = (
    TridentReader(),
    StampReader(),
    Hdf5Reader(),
    NpzReader(),
    ParquetReader(),
    CsvReader(),
)
"""Formats that need no network, the more particular first: `auto` takes the first that fits."""

__all__ = [
    "READERS",
    "Bag",
    "EmbeddingConfig",
    "Imported",
    "ReadOptions",
    "Reader",
    "UnreadableFeatures",
    "find_reader",
    "import_embeddings",
    "listed_patients",
    "look_for_files",
]
