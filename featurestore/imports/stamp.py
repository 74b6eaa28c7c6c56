"""STAMP: `feats` in one HDF5 file a slide (with `coords`) or a patient, or slides in one file.

Tile files state their `extractor`, patient and slide files their `encoder`. Before STAMP 2.1 slide
embeddings stood in one file, a dataset a slide, with the attributes `encoder` and `precision`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from featurestore.imports.base import Bag, ReadOptions, UnreadableFeatures
from featurestore.imports.hdf5 import attribute, dataset_bag, opened, own_datasets

_FEATURES = "feats"
_SLIDES = {"encoder", "precision"}  # attributes of a file with a dataset a slide


class StampReader:
    """Files of STAMP; a slide or patient is called as its file is, or as its dataset."""

    name = "stamp"

    def recognises(self, path: Path) -> bool:
        """Whether a file has `feats`, or the attributes of one with a dataset a slide."""
        try:
            with opened(path) as file:
                return set(file.attrs) >= _SLIDES or _FEATURES in own_datasets(file)
        except UnreadableFeatures:
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the bags of a file; see `Reader`."""
        with opened(path) as file:
            found = list(own_datasets(file))
            several = set(file.attrs) >= _SLIDES
            encoder = attribute(file.attrs, "extractor", "encoder")
        name = options.dataset or _FEATURES
        if name in found:
            yield dataset_bag(path, name, path.stem, encoder)
        elif options.dataset or not found or not several:
            raise UnreadableFeatures(f"it has no dataset {name!r} but {', '.join(found) or 'none'}")
        else:
            for slide in found:
                yield dataset_bag(path, slide, slide, encoder)
