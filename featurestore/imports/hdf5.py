"""HDF5 files from elsewhere: opened without following links out of the file, read in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from featurestore.imports.base import (
    Bag,
    ReadOptions,
    RowsInTurn,
    UnreadableFeatures,
    as_matrix_shape,
    require_floats,
    rows_at_a_time,
)

_ID_NAMES = ("image_id", "slide_id", "ids", "id", "names", "name", "image_ids", "slide_ids")
_FEATURE_NAMES = ("embedding", "embeddings", "features", "feats", "x")
_MOST_IDS = 10_000_000


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Opens a file for reading.

    Raises:
        UnreadableFeatures: It is cut short, damaged, or no HDF5 file; also where its content is
            read inside the block.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UnreadableFeatures(f"no readable HDF5 file, or cut short ({reason})") from None


def own_datasets(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """Datasets of a group whose data lie in the file itself; links out of it are not followed."""
    found = {}
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            data = group[name]
            if isinstance(data, h5py.Dataset) and not data.is_virtual and not data.external:
                found[str(name)] = data
    return found


def dataset_bag(path: Path, place: str, name: str, encoder: str = "") -> Bag:
    """A bag that is one dataset of a file.

    Args:
        path: The file.
        place: Path of the dataset in the file.
        name: Id of the bag.
        encoder: Encoder, where the file says it.

    Raises:
        UnreadableFeatures: The dataset has another shape or type.
    """
    with opened(path) as file:
        data = file[place]
        require_floats(data.dtype, f"dataset {place}")
        rows, width = as_matrix_shape(data.shape, f"dataset {place}")
    return Bag(name, width, rows, lambda: _parts(path, place), encoder=encoder)


def _parts(path: Path, place: str) -> Iterator[np.ndarray]:
    with opened(path) as file:
        data = file[place]
        rows, width = as_matrix_shape(data.shape, place)
        step = rows_at_a_time(width, data.dtype.itemsize)
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            if data.ndim == 1:
                yield np.asarray(data[:])[None, :]
            elif data.ndim == 3:
                yield np.asarray(data[0, start:stop])
            else:
                yield np.asarray(data[start:stop])


def attribute(holder: h5py.AttributeManager, *names: str) -> str:
    """The first of some attributes that is there, as text; else nothing."""
    for name in names:
        if name in holder:
            value = holder[name]
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""


class Hdf5Reader:
    """Any HDF5 file: a matrix with ids beside it, one dataset an id, or one dataset alone.

    A matrix (n, D) named `embedding`, `features`, … beside ids of the same length (`image_id`,
    `ids`, …) holds a row an image: also the form of `melafuse store pack`, in a group an encoder.
    Without ids, several datasets are a bag each, by their names; one is a bag by the file's name.
    """

    name = "h5"

    def recognises(self, path: Path) -> bool:
        """Whether it is a whole HDF5 file, whatever is in it."""
        try:
            with opened(path):
                return True
        except UnreadableFeatures:
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the bags of a file; see `Reader`."""
        with opened(path) as file:
            group, matrix = _chosen(file, options.dataset)
            datasets = own_datasets(group)
            ids = [] if matrix is None else _ids_beside(datasets, datasets[matrix].shape[0])
            numeric = [name for name, data in datasets.items() if data.dtype.kind in "fiu"]
            base = group.name.rstrip("/")
        if matrix is not None and ids:
            whole = dataset_bag(path, f"{base}/{matrix}", path.stem)
            rows = RowsInTurn(whole.chunks)
            yield from (Bag(i, whole.width, 1, partial(rows.row, k)) for k, i in enumerate(ids))
        elif matrix is not None:
            yield dataset_bag(path, f"{base}/{matrix}", path.stem)
        else:
            names = [name for name in numeric if name not in ("coords", "view", "checksum")]
            if not names:
                raise UnreadableFeatures("it holds no dataset of numbers")
            single = len(names) == 1
            for name in names:
                yield dataset_bag(path, f"{base}/{name}", path.stem if single else name)


def _chosen(file: h5py.File, dataset: str) -> tuple[h5py.Group, str | None]:
    """The group that holds the features, and the name of their dataset where there is one."""
    if dataset:
        holder, _, name = dataset.strip("/").rpartition("/")
        group = file[holder] if holder else file
        if name in group and isinstance(group[name], h5py.Group):
            return _named(group[name])
        if name not in own_datasets(group):
            raise UnreadableFeatures(f"it has no dataset {dataset!r} of its own")
        return group, name
    groups = [g for g in file.values() if isinstance(g, h5py.Group)]
    if not own_datasets(file) and len(groups) == 1:
        return _named(groups[0])
    if not own_datasets(file) and groups:
        shown = ", ".join(g.name.strip("/") for g in groups[:5])
        raise UnreadableFeatures(f"it has several groups ({shown}): name one as `dataset`")
    return _named(file)


def _named(group: h5py.Group) -> tuple[h5py.Group, str | None]:
    names = {name.casefold(): name for name in own_datasets(group)}
    return group, next((names[n] for n in _FEATURE_NAMES if n in names), None)


def _ids_beside(datasets: dict[str, h5py.Dataset], rows: int) -> list[str]:
    names = {name.casefold(): name for name in datasets}
    for known in _ID_NAMES:
        data = datasets.get(names.get(known, ""))
        if data is not None and data.shape == (rows,) and rows <= _MOST_IDS:
            if data.dtype.kind in "iu":
                return [str(value) for value in data[:].tolist()]
            texts = data.asstr()[:] if data.dtype.kind == "O" else data[:].astype("U")
            return [str(text) for text in texts]
    return []
