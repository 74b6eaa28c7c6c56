"""The image files behind a feature table's rows, and the networks that embedded them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from extractor.config import BackboneConfig
from featurestore.errors import ConfigError

if TYPE_CHECKING:  # both load torch, which tables without networks do without
    from extractor.backbones import Backbone
    from extractor.finetune import TrainingSamples

FileLocator = Callable[[pd.DataFrame, Mapping[str, BackboneConfig]], "ImageFiles"]
"""Image files of a table with `path` and `sha256` (missing in rows without image)."""


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Where pixels and networks are, for models that train on pictures; cheap to copy.

    Attributes:
        paths: Absolute path of each row's image; empty for a row without image. Shape (n,).
        sha256s: Digest of each file; empty for a row without image. Shape (n,).
        backbones: Per name in `FeatureTable.embeddings` the network with its weights.
        seed: Seed of random weights.
        data_root: Folder that relative paths start from.
        scratch: Folder for decoded pictures that do not fit into memory.
    """

    paths: np.ndarray
    sha256s: np.ndarray
    backbones: Mapping[str, BackboneConfig]
    seed: int
    data_root: Path
    scratch: Path

    def take(self, rows: np.ndarray) -> ImageFiles:
        """Returns the rows given by an integer or boolean index, in that order."""
        return dataclasses.replace(self, paths=self.paths[rows], sha256s=self.sha256s[rows])

    def load(self, name: str) -> Backbone:
        """Builds the network of an embedding, as it was when it embedded.

        Raises:
            ConfigError: No network of this name is known.
            WeightsError: Its weights cannot be found, read or fitted.
        """
        from extractor.backbones import load_backbone

        if name not in self.backbones:
            known = ", ".join(self.backbones) or "none"
            raise ConfigError(f"no network made the embeddings {name!r}; known: {known}")
        return load_backbone(self.backbones[name], self.seed, self.data_root)

    def samples(self, rows: np.ndarray) -> TrainingSamples:
        """Returns the images of some rows for decoding; their outcome is not in it.

        Args:
            rows: Integer rows that have an image; shape (m,).
        """
        from extractor.finetune import TrainingSamples

        return TrainingSamples(
            image_ids=np.array([f"row {row}" for row in rows], dtype=object),
            patient_ids=np.full(len(rows), "", dtype=object),
            paths=self.paths[rows],
            sha256s=self.sha256s[rows],
            labels=np.zeros(len(rows), dtype=np.float32),
        )


def file_locator(seed: int, data_root: Path, scratch: Path) -> FileLocator:
    """Returns what finds the image files of a study.

    Args:
        seed: Seed of random weights.
        data_root: Folder that relative paths start from.
        scratch: Folder for decoded pictures that do not fit into memory.
    """

    def locate(rows: pd.DataFrame, backbones: Mapping[str, BackboneConfig]) -> ImageFiles:
        has_picture = rows["path"].fillna("") != ""
        paths = [str(data_root / p) if p else "" for p in rows["path"].fillna("")]
        return ImageFiles(
            paths=np.array(paths, dtype=object),
            sha256s=rows["sha256"].where(has_picture, "").to_numpy(dtype=object),
            backbones=dict(backbones),
            seed=seed,
            data_root=data_root,
            scratch=scratch,
        )

    return locate
