"""TRIDENT: one HDF5 file a slide, with `features` (a row a tile) and `coords`.

The dataset may have another name (a slide encoder's key), which then is named as `dataset`. The
attributes are what its `save_h5` writes: plain values, mappings as JSON, `None` as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from featurestore.imports.base import Bag, ReadOptions, UnreadableFeatures
from featurestore.imports.hdf5 import attribute, dataset_bag, opened, own_datasets

_FEATURES = "features"
_FOLDER = re.compile(r"(?:slide_)?features_(.+)")


def _encoder_of(folder: str) -> str:
    """The encoder in the name of the folder that TRIDENT wrote to (`features_uni_v1`)."""
    match = _FOLDER.fullmatch(PurePath(folder.replace("\\", "/")).name)
    return match[1] if match else ""


class TridentReader:
    """Files of TRIDENT; a slide is called as its file is."""

    name = "trident"

    def recognises(self, path: Path) -> bool:
        """Whether a file has `features` and `coords`, or `features` with TRIDENT's attributes."""
        try:
            with opened(path) as file:
                found = own_datasets(file)
                if _FEATURES not in found:
                    return False
                return "coords" in found or "savetodir" in found[_FEATURES].attrs
        except UnreadableFeatures:
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the one bag of a file; see `Reader`."""
        with opened(path) as file:
            name = options.dataset or _FEATURES
            found = own_datasets(file)
            if name not in found:
                has = ", ".join(found) or "nothing"
                raise UnreadableFeatures(f"it has no dataset {name!r} but {has}")
            own = found[name].attrs
            encoder = attribute(own, "encoder", "patch_encoder", "slide_encoder", "model_name")
            encoder = encoder or _encoder_of(attribute(own, "savetodir"))
        yield dataset_bag(path, name, path.stem, encoder)
