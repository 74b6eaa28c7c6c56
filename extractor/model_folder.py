"""Models that a folder describes: `config.json` and `model.safetensors`, as timm's hub has them.

Nothing else of a folder is read but its card (`README.md`): no pickle, no code. The configuration
names an architecture of timm and its arguments; what of it decides an embedding and is not in the
tensors (heads of attention, activations) is part of the weights' digest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import timm.layers
import torch
from huggingface_hub import hf_hub_download
from torch import nn

from extractor.config import HUB
from extractor.hub import patient_only_if_reachable
from featurestore.bounded import read_text
from featurestore.errors import ConfigError, WeightsError, name_some, one_line
from featurestore.json_text import parse_json

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
MAX_TEXT = 2_000_000
MAX_NUMBER, MAX_DEPTH = 65_536, 256
"""Bounds of arguments, so that a wrong file cannot ask for any amount of memory or time."""

_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.pth")
_LAYERS = ("Mlp", "GluMlp", "GatedMlp", "SwiGLU", "SwiGLUPacked", "LayerNorm", "RmsNorm")
"""Layers of timm that an argument may name, as text."""

_OURS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "checkpoint_path",
         "num_classes", "scriptable", "exportable", "no_jit", "features_only")  # fmt: skip
_PREPROCESSING = ("input_size", "mean", "std", "interpolation", "crop_pct", "fixed_input_size",
                  "first_conv", "classifier", "license")  # fmt: skip
_LICENCE = re.compile(r"^license(?:_name)?:\s*[\"']?([^\"'\n#]{1,80})", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What a folder says of its model.

    Attributes:
        licence: As `config.json` or the card states it; empty where neither does.
        text: The card; empty where there is none.
    """

    licence: str
    text: str


@dataclasses.dataclass(frozen=True)
class ModelFolder:
    """A model as a folder describes it.

    Attributes:
        architecture: Name that timm knows.
        arguments: Arguments of its constructor, plain JSON.
        preprocessing: What timm calls the pretrained configuration, as far as it is taken.
        weights: The safetensors file.
        card: What the folder says of it.
        label: Where it came from, for people.
    """

    architecture: str
    arguments: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    weights: Path
    card: ModelCard
    label: str

    def build(self) -> nn.Module:
        """Builds the model without classifier; its weights are random.

        Raises:
            ConfigError: timm does not take the arguments.
        """
        arguments = {k: _resolved(k, v) for k, v in self.arguments.items()}
        try:
            with torch.random.fork_rng(devices=[]):
                model: nn.Module = timm.create_model(
                    self.architecture,
                    pretrained=False,
                    pretrained_cfg=dict(self.preprocessing),
                    num_classes=0,
                    **arguments,
                )
        except Exception as error:  # constructors of timm raise anything for odd arguments
            raise ConfigError(
                f"{self.label}: timm builds no {self.architecture} of these arguments "
                f"({one_line(error)})"
            ) from None
        return model

    def digest(self, state: str) -> str:
        """Digest of all that decides an embedding, given that of the tensors."""
        facts = [self.architecture, dict(self.arguments), state]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def find_folder(source: str, data_root: Path, download: bool) -> ModelFolder | None:
    """The model that a source of weights describes; None where it is no folder and not of the hub.

    Args:
        source: `hf-hub:ORG/MODEL`, with `@REVISION` where one is meant, or a path.
        data_root: Folder that a relative path starts from.
        download: Whether the hub may be asked.

    Raises:
        ConfigError: The hub may not be asked, or the description is none that timm can build.
        WeightsError: The files are not there, or cannot be downloaded.
    """
    if source.startswith(HUB):
        if not download:
            raise ConfigError(
                f"{source}: nothing is downloaded unless the backbone has `download: true`; or "
                f"put its {CONFIG_FILE} and {WEIGHTS_FILE} into a folder and name that as weights"
            )
        return _read(_downloaded(source), source)
    if source in ("imagenet", "random") or source.startswith("package:"):
        return None  # whatever folder may be called so
    folder = data_root / Path(source).expanduser()
    return _read(folder, f"folder({folder.name})") if folder.is_dir() else None


def _read(folder: Path, label: str) -> ModelFolder:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise WeightsError(f"{folder}: it has no {CONFIG_FILE}, so what its weights are is unknown")
    try:
        record = parse_json(read_text(path, MAX_TEXT))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({one_line(error)})") from None
    if not isinstance(record, dict):
        raise ConfigError(f"{path}: no description of a model")
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickles = [name for name in _PICKLES if (folder / name).is_file()]
        why = f"; {pickles[0]} is a pickle, which could run code: convert it" if pickles else ""
        raise WeightsError(f"{folder}: it has no {WEIGHTS_FILE}{why}")
    architecture = record.get("architecture")
    if not isinstance(architecture, str) or not timm.is_model(architecture):
        stated = architecture or record.get("model_type") or "nothing"
        raise ConfigError(f"{path}: timm has no architecture {str(stated)[:80]!r}")
    own = record.get("pretrained_cfg", record)
    own = own if isinstance(own, dict) else {}
    arguments = _arguments(record, path)
    card = _card(folder, own)
    return ModelFolder(
        architecture, arguments, _preprocessing(own, arguments, path), weights, card, label
    )


def _arguments(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    found = record.get("model_args") or {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: model_args are no mapping")
    if record.get("global_pool") and "global_pool" not in found:
        found = {**found, "global_pool": record["global_pool"]}
    foreign = sorted(set(found) & set(_OURS) - {"num_classes"})
    if foreign:
        raise ConfigError(f"{path}: model_args may not say {name_some(foreign, 3)}")
    for key, value in found.items():
        _require_plain(key, value, path)
    return {k: v for k, v in found.items() if k != "num_classes" and v is not None}


def _require_plain(key: str, value: Any, path: Path) -> None:
    numbers = value if isinstance(value, list) else [value]
    limit = MAX_DEPTH if key in ("depth", "depths") else MAX_NUMBER
    for number in numbers:
        if isinstance(number, list | dict):
            raise ConfigError(f"{path}: the argument {key!r} is no plain value")
        if isinstance(number, int | float) and abs(number) > limit:
            raise ConfigError(f"{path}: the argument {key!r} is {number}, more than {limit:,}")


def _resolved(key: str, value: Any) -> Any:
    """A layer that is named as text (`timm.layers.SwiGLUPacked`) as the class; others as they are.

    Activations (`silu`) timm resolves itself.
    """
    name = value.rpartition(".")[2] if isinstance(value, str) else ""
    if key.endswith("_layer") and name in _LAYERS:
        return getattr(timm.layers, name)
    return name.lower() if key == "act_layer" and name else value


def _preprocessing(
    own: Mapping[str, Any], arguments: Mapping[str, Any], path: Path
) -> dict[str, Any]:
    found = {key: own[key] for key in _PREPROCESSING if own.get(key) is not None}
    size = found.get("input_size", [3, 224, 224])
    side = arguments.get("img_size")
    if isinstance(side, int):
        size = [3, side, side]
    if not (isinstance(size, list) and len(size) == 3 and all(isinstance(n, int) for n in size)):
        raise ConfigError(f"{path}: input_size is {str(size)[:80]}, not [3, height, width]")
    if size[0] != 3 or size[1] != size[2]:
        raise ConfigError(f"{path}: input_size is {size}: pictures are squares of three colours")
    found["input_size"] = tuple(size)
    for key in ("mean", "std"):
        values = found.get(key)
        if not (isinstance(values, list) and len(values) == 3):
            raise ConfigError(f"{path}: it does not state the {key} of its input's three colours")
        found[key] = tuple(float(v) for v in values)
    found.setdefault("interpolation", "bicubic")
    if arguments.get("dynamic_img_size"):
        found["fixed_input_size"] = False
    return found


def _card(folder: Path, own: Mapping[str, Any]) -> ModelCard:
    path = folder / CARD_FILE
    text = ""
    if path.is_file():
        try:
            text = read_text(path, MAX_TEXT)
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path}: cannot be read ({one_line(error)})") from None
    stated = own.get("license")
    match = _LICENCE.search(text)
    licence = stated if isinstance(stated, str) else match[1] if match else ""
    return ModelCard(licence.strip()[:80], text)


def _downloaded(source: str) -> Path:
    """Fetches the three files of a model of the hub, or finds them in its cache."""
    repository, _, revision = source.removeprefix(HUB).partition("@")
    try:
        with patient_only_if_reachable():
            places = [
                Path(hf_hub_download(repository, name, revision=revision or None))
                for name in (CONFIG_FILE, WEIGHTS_FILE)
            ]
            with contextlib.suppress(Exception):  # a model without card is said to have none
                hf_hub_download(repository, CARD_FILE, revision=revision or None)
    except Exception as error:  # hub clients raise anything from OSError to their own classes
        raise WeightsError(
            f"{source}: not in the hub's cache, and cannot be downloaded ({type(error).__name__}); "
            f"put its {CONFIG_FILE} and {WEIGHTS_FILE} into a folder and name that as weights"
        ) from None
    return places[0].parent
