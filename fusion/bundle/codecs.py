"""Fitted models to files and back: JSON, safetensors, and LightGBM's own text. Nothing is pickled.

A model that can be bundled is one line in the table of its kind of outcome; somebody else's model
brings a codec of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featurestore.errors import ConfigError
from fusion.bundle.codec import FITTED, Codec, State, files_of, model_of
from fusion.bundle.codecs_binary import BINARY_CODECS
from fusion.bundle.codecs_times import TIMES_CODECS, TIMES_REFUSED, scaled
from fusion.models import find_own, names_of

__all__ = [
    "CODECS",
    "FITTED",
    "Codec",
    "State",
    "codec_of",
    "find_codec",
    "load_model",
    "save_model",
    "without_codec",
]

CODECS: dict[str, dict[str, Codec]] = {
    "binary": BINARY_CODECS,
    "time_to_event": TIMES_CODECS,
}
"""By kind of the outcome, models that can be bundled, by name."""

REFUSED: dict[str, dict[str, str]] = {"binary": {}, "time_to_event": TIMES_REFUSED}
"""By kind of the outcome, why some models cannot be."""

_WRAPPED = {"time_to_event": scaled}
"""By kind: what is saved beside a model that brings its own codec."""


def find_codec(model: str, kind: str = "binary") -> Codec:
    """Looks up how a model is bundled.

    Raises:
        ConfigError: It cannot be.
    """
    found = codec_of(model, kind)
    if found is None:
        raise ConfigError(
            f"{model} cannot be bundled{without_codec(model, kind)}; these can: "
            f"{', '.join(CODECS[kind])}"
        )
    return found


def codec_of(model: str, kind: str = "binary") -> Codec | None:
    """How a model is bundled: as ours are, or by the codec that somebody's model brings."""
    if model in CODECS[kind]:
        return CODECS[kind][model]
    own = find_own(model)
    if own is None or own.codec is None or own.outcome != kind:
        return None
    wrap = _WRAPPED.get(kind)
    codec: Codec = own.codec if wrap is None else wrap(own.codec)
    return codec


def without_codec(model: str, kind: str = "binary") -> str:
    """Why a model cannot be bundled, in brackets; nothing where nothing more is to be said."""
    reason = REFUSED[kind].get(model, "")
    if not reason and find_own(model) is not None:
        reason = (
            f"{model} is no part of melafuse and brings no codec: a bundle holds plain arrays and "
            f"text that are checked byte by byte, never a pickle"
        )
    return f" ({reason})" if reason else ""


def save_model(name: str, model: Any, prefix: str, kind: str = "binary") -> dict[str, bytes]:
    """Files of a fitted model.

    Args:
        name: Its name in the registry.
        model: The model.
        prefix: Start of the names of its files.
        kind: Kind of the outcome.
    """
    return files_of(find_codec(name, kind), model, prefix)


def load_model(name: str, files: Mapping[str, bytes], prefix: str, kind: str = "binary") -> Any:
    """Rebuilds a model from its files; nothing is unpickled.

    Args:
        name: Its name in the registry.
        files: Verified contents of the bundle.
        prefix: Start of the names of its files.
        kind: Kind of the outcome.

    Returns:
        What follows the protocol of the kind, as `fusion.models.make_model` makes it.

    Raises:
        ConfigError: No such model can be bundled, or its package is not here.
        DataError: A file is absent, or they do not fit together.
    """
    ours = names_of("arm", "clinical reference", "floor", kind=kind)
    codec = find_codec(name, kind) if name in ours else codec_of(name, kind)
    if codec is None:
        raise ConfigError(
            f"the bundle has the model {name!r}, which is no part of melafuse, and nothing here "
            f"registers it with a codec: install the package that does"
        )
    return model_of(codec, files, prefix)
