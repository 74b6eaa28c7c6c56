"""Where the weights of a backbone are, asked without a network."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import timm
from huggingface_hub import constants, try_to_load_from_cache

from extractor.backbones import load_backbone
from extractor.config import HUB, BackboneConfig
from extractor.weights import LITE0_SOURCE
from featurestore.errors import WeightsError

_FILES = ("model.safetensors", "pytorch_model.bin")  # as timm looks for them, in its order
_INSTEAD = (
    f"name a .safetensors or .pth file, or take {LITE0_SOURCE} with tf_efficientnet_lite0, "
    "or random"
)
_FOLDER_INSTEAD = (
    "it needs a network once; else put its config.json and model.safetensors into a folder and "
    "name that as weights"
)


@dataclasses.dataclass(frozen=True)
class WeightsPlace:
    """Where weights are.

    Attributes:
        state: `here` (they were loaded), `download` (the first run fetches them) or `missing`.
        text: What was found.
        advice: What to do; empty if they are here.
        dimension: Length of the backbone's embedding; 0 if the weights are missing.
    """

    state: Literal["here", "download", "missing"]
    text: str
    advice: str = ""
    dimension: int = 0


def locate_weights(config: BackboneConfig, seed: int, data_root: Path) -> WeightsPlace:
    """Loads the weights of a backbone if they are on this machine.

    Raises:
        ConfigError: The architecture is unknown, or does not go with its weights or image size.
    """
    if config.weights == "imagenet" and not _is_cached(config.name):
        blank = config.model_copy(update={"weights": "random"})
        backbone = load_backbone(blank, seed, data_root)
        if not timm.is_model_pretrained(config.name):
            return WeightsPlace("missing", "timm has no such weights", _INSTEAD)
        text = "not in the cache; the first run downloads them"
        return WeightsPlace(
            "download", text, f"it needs a network once; else {_INSTEAD}", backbone.dimension
        )
    try:
        with _without_network():
            backbone = load_backbone(config, seed, data_root)
    except WeightsError as error:
        if config.weights.startswith(HUB):
            text = f"{config.weights} is not in the cache; the first run downloads it"
            return WeightsPlace("download", text, _FOLDER_INSTEAD)
        return WeightsPlace("missing", str(error), _INSTEAD)
    return WeightsPlace("here", f"{backbone.dimension}-d, loaded", "", backbone.dimension)


def _is_cached(name: str) -> bool:
    own: Any = timm.get_pretrained_cfg(name) if timm.is_model_pretrained(name) else None
    if own is None or not own.hf_hub_id:
        return False
    names = (own.hf_hub_filename,) if own.hf_hub_filename else _FILES
    found = [try_to_load_from_cache(own.hf_hub_id, file) for file in names]
    return any(isinstance(path, str) for path in found)


@contextlib.contextmanager
def _without_network() -> Iterator[None]:
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
