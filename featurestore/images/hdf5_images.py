"""Images inside an HDF5 file: one dataset with the bytes of an image file for each id (ISIC-2024).

HDF5 can point elsewhere: links to other files, datasets whose bytes lie in other files, and
virtual datasets. None of these is followed.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from featurestore.errors import DataError
from featurestore.images.members import Listing, is_hidden, refuse_name, refuse_size, sorted_listing
from featurestore.images.refusals import UnreadableImage

_LOOKED_AT = 8
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")


class Hdf5Images:
    """Images of an HDF5 file whose datasets at the root are files in bytes."""

    def __init__(self, path: Path) -> None:
        """Reads the names.

        Raises:
            DataError: It is no HDF5 file, or cannot be read.
        """
        try:
            self._file = h5py.File(path, "r")
            names = list(self._file)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:100]
            raise DataError(f"{path}: not a readable HDF5 file ({reason})") from None
        found = {name: refuse_name(name) for name in names if not is_hidden(name)}
        good = [name for name, reason in found.items() if not reason]
        self._listing = sorted_listing(found if self._holds_images(good) else {})

    def listing(self) -> Listing:
        """Its images; none if the first datasets are something else."""
        return self._listing

    def read(self, name: str, max_bytes: int) -> bytes:
        """Bytes of one dataset.

        Raises:
            UnreadableImage: It is not there, is refused, or cannot be read.
        """
        try:
            link = self._file.get(name, getlink=True)
            if link is None:
                raise UnreadableImage("no such file")
            if not isinstance(link, h5py.HardLink):
                raise UnreadableImage("a link, no dataset")
            dataset = self._file[name]
            if not isinstance(dataset, h5py.Dataset) or dataset.ndim > 1:
                raise UnreadableImage("no bytes of an image file")
            if dataset.external or dataset.is_virtual:
                raise UnreadableImage("its bytes lie in another file")
            reason = refuse_size(dataset.nbytes, dataset.id.get_storage_size())
            if reason or dataset.nbytes > max_bytes:
                raise UnreadableImage(reason or f"larger than {max_bytes:,} bytes")
            return _bytes_of(dataset)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError):
            raise UnreadableImage("damaged in its HDF5 file") from None

    def _holds_images(self, names: list[str]) -> bool:
        places = np.unique(np.linspace(0, len(names) - 1, _LOOKED_AT).round().astype(int))
        for name in [names[k] for k in places] if names else []:
            try:
                if self.read(name, 2**28).startswith(_MAGIC):
                    return True
            except UnreadableImage:
                continue
        return False


def _bytes_of(dataset: h5py.Dataset) -> bytes:
    """Bytes of a scalar (fixed, variable or opaque), or of a row of bytes."""
    value = dataset[()]
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "uiV" or value.dtype.itemsize != 1:
            raise UnreadableImage("no bytes of an image file")
        return value.tobytes()
    if isinstance(value, np.void):
        return value.tobytes()
    if isinstance(value, bytes):
        return bytes(value)
    raise UnreadableImage("no bytes of an image file")
