"""Augmented views of pictures in the store: what training on them gains, without their decoding.

View k of a picture is augmented by a seed made of the picture's digest and k, and of nothing else:
it is the same in any run, and asking for more views only adds rows. Views stand under an identity
of their own, whose preprocessing record says how they were varied, as views 1, 2, …; the picture
as it is stays view 0 of the encoder's identity.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from extractor.config_finetune import AugmentConfig
from extractor.encoder import Encoder
from extractor.finetune.augment import Augmenter, augmenter, source_size, spec
from extractor.finetune.batches import as_tensor
from extractor.images import Geometry
from extractor.transfers import Batch, Fetch
from featurestore.store import EncoderIdentity

VERSION = 1
"""Raised when the same seed gives another view."""


def view_identity(
    identity: EncoderIdentity, augment: AugmentConfig, data_root: Path
) -> EncoderIdentity:
    """The identity that an encoder's views are stored under.

    It has learned from the same patients and belongs to the same fold, so what may not be read of
    the encoder may not be read of its views.

    Args:
        identity: That of the encoder.
        augment: How pictures are varied.
        data_root: Folder that the path of an Albumentations pipeline starts from.

    Raises:
        ConfigError: The Albumentations pipeline cannot be read.
    """
    record = json.loads(identity.preprocessing)
    size = source_size(augment, record["size"])
    record["views"] = {
        "version": VERSION,
        "augment": spec(augment, data_root),
        "decode_short_side": Geometry(size).decode_short_side,
        "size": size,
    }
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return dataclasses.replace(identity, preprocessing=text)


def views_of(
    encoder: Encoder, augment: AugmentConfig, n: int, data_root: Path
) -> tuple[ViewEncoder, ...]:
    """Makes the encoders of views 1 to n, to be given to `extractor.extract.embed_images`.

    Raises:
        ConfigError: The Albumentations pipeline cannot be loaded, or its package is missing.
    """
    if not n:
        return ()
    identity = view_identity(encoder.identity, augment, data_root)
    vary = augmenter(augment, encoder.geometry.size, data_root)
    size = source_size(augment, encoder.geometry.size)
    geometry = dataclasses.replace(encoder.geometry, size=size)
    return tuple(ViewEncoder(encoder, identity, geometry, vary, k) for k in range(1, n + 1))


class ViewEncoder:
    """An encoder that embeds one augmented view of each picture.

    Attributes:
        name: That of the encoder and the number of the view: `resnet18#1`.
        identity: What the views are stored under, the same for all.
        view: Number of the view.
        geometry: Squares that it is given, larger than what the backbone takes.
        prepared_alike: How pictures are varied, and the number of the view.
    """

    def __init__(
        self,
        encoder: Encoder,
        identity: EncoderIdentity,
        geometry: Geometry,
        vary: Augmenter,
        view: int,
    ) -> None:
        self.name = f"{encoder.name}#{view}"
        self.identity = identity
        self.view = view
        self.geometry = geometry
        self.prepared_alike: Hashable = (identity.preprocessing, view)
        self._encoder = encoder
        self._vary = vary

    def prepare(self, square: np.ndarray, sha256: str) -> np.ndarray:
        """Varies a square; the same picture and view give the same bytes in any run."""
        varied = self._vary(as_tensor(square), view_seed(sha256, self.view))
        return varied.permute(1, 2, 0).contiguous().numpy()

    @property
    def pass_size(self) -> int:
        """That of the encoder."""
        return self._encoder.pass_size

    @property
    def notice(self) -> str:
        """That of the encoder."""
        return self._encoder.notice

    def begin(self, batch: Batch) -> Fetch:
        """Begins to embed varied squares, as the encoder does."""
        return self._encoder.begin(batch)


def view_seed(sha256: str, view: int) -> int:
    """Seed of a view, below 2^63."""
    digest = hashlib.sha256(f"{sha256}#{view}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
