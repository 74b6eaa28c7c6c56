"""Features in PyTorch files (`.pt`): tensors only, read without running what is pickled in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featurestore.imports import (
    READERS,
    Bag,
    EmbeddingConfig,
    Imported,
    Reader,
    ReadOptions,
    UnreadableFeatures,
    import_embeddings,
)
from featurestore.imports.base import as_matrix_shape, rows_at_a_time
from featurestore.progress import Progress
from featurestore.store import FeatureStore

if TYPE_CHECKING:
    import torch

_FEATURES = ("features", "feats", "embeddings", "embedding", "x")


class TorchReader:
    """A tensor (D,) or (tiles, D), or a mapping of ids to such tensors.

    Of a mapping that has one of the keys `features`, `feats`, `embedding`, … that entry is the bag,
    under the name of the file.
    """

    name = "pt"

    def recognises(self, path: Path) -> bool:
        """Whether it is a zip archive as `torch.save` writes it."""
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith("/data.pkl") for name in archive.namelist())
        except (OSError, zipfile.BadZipFile):
            return False

    def bags(self, path: Path, options: ReadOptions) -> Iterator[Bag]:
        """Yields the bags of a file; see `featurestore.imports.Reader`."""
        content = _loaded(path)
        if not isinstance(content, Mapping):
            yield _bag(path, None, path.stem, content)
            return
        wanted = (options.dataset,) if options.dataset else _FEATURES
        name = next((key for key in wanted if key in content), None)
        if name is not None:
            yield _bag(path, name, path.stem, content[name])
        elif options.dataset:
            raise UnreadableFeatures(f"it has no entry {options.dataset!r}")
        else:
            for key, value in content.items():
                yield _bag(path, key, str(key), value)


ALL_READERS: tuple[Reader, ...] = (*READERS, TorchReader())
"""Every known format; torch is loaded where a file needs it."""


def _loaded(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UnreadableFeatures(f"no readable file of tensors ({reason})") from None


def _bag(path: Path, key: object, name: str, value: object) -> Bag:
    import torch

    if not isinstance(value, torch.Tensor):
        raise UnreadableFeatures(f"{name!r} is a {type(value).__name__}, not a tensor")
    if value.is_complex() or value.dtype is torch.bool:
        raise UnreadableFeatures(f"{name!r} holds {value.dtype}, not numbers")
    rows, width = as_matrix_shape(tuple(value.shape), f"tensor {name!r}")
    return Bag(name, width, rows, lambda: _parts(path, key))


def _parts(path: Path, key: object) -> Iterator[np.ndarray]:
    content = _loaded(path)
    tensor = content[key] if isinstance(content, Mapping) else content
    yield from _chunks(tensor)  # type: ignore[arg-type]


def _chunks(tensor: torch.Tensor) -> Iterator[np.ndarray]:
    import torch

    rows, width = as_matrix_shape(tuple(tensor.shape), "tensor")
    matrix = tensor.detach().reshape(rows, width)
    step = rows_at_a_time(width, 4)
    for start in range(0, rows, step):
        part = matrix[start : start + step]
        # NumPy has no bfloat16; float32 holds every value of it.
        yield (part.float() if part.dtype is torch.bfloat16 else part).numpy()


def import_all(
    configs: Sequence[EmbeddingConfig], store: FeatureStore, data_root: Path, progress: Progress
) -> dict[str, Imported]:
    """Imports of a study by name; see `featurestore.imports.import_embeddings`.

    Args:
        configs: The section `embeddings`.
        store: Where embeddings go.
        data_root: Folder that relative paths start from.
        progress: Told of every id.
    """
    return {
        one.name: import_embeddings(one, store, data_root, ALL_READERS, progress) for one in configs
    }
