"""Models of other people: registered from Python, or by the entry points of installed packages.

A configuration names a model; whether that name means something is decided by what was registered
before, or by what is installed. Nothing that a configuration says is imported.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from featurestore.errors import ConfigError
from featurestore.plugins import Plugin, plugins
from fusion.models.binary import MODELS
from fusion.models.identity import identity_of
from fusion.models.model_kind import ModelKind
from fusion.models.survival.registered import SURVIVAL_MODELS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TARGETS = {
    "binary": "fusion.models.own_estimator:OwnClassifier",
    "time_to_event": "fusion.models.survival.own_estimator:OwnSurvival",
}
_RISKS = ("predict_survival_function", "predict_cumulative_hazard_function")
_registered: dict[str, ModelKind] = {}


def own_model(
    estimator: Any,
    outcome: str | None = None,
    version: str = "",
    codec: Any = None,
    called: str = "",
) -> ModelKind:
    """Makes a model of an estimator; what an entry point of `melafuse.models` may name.

    Args:
        estimator: With `fit(X, y)` and `predict_proba(X)`, as scikit-learn has it; or, of times to
            an event, with `fit(X, y)` where y has the fields `event` and `time`, and `predict(X)`
            that rises with the risk, as scikit-survival has it. An object, which is copied for each
            fit, or a class that needs no argument.
        outcome: `binary` or `time_to_event`; found out from the methods by default.
        version: Of code that no package has and whose source cannot be read.
        codec: A `fusion.bundle.codecs.Codec`, if the fitted model can be bundled.
        called: Its name in errors; by default that of the class.

    Raises:
        ConfigError: It lacks a method, or a parameter cannot be named.
    """
    made = estimator if isinstance(estimator, type) else type(estimator)
    called = called or made.__name__
    kind = outcome or _outcome(estimator)
    if kind not in _TARGETS:
        raise ConfigError(
            f"{called}: it has neither predict_proba nor {_RISKS[0]}; say outcome='binary' or "
            f"outcome='time_to_event'"
        )
    wanted = ("fit", "predict_proba" if kind == "binary" else "predict")
    lacking = [name for name in wanted if not hasattr(estimator, name)]
    if lacking:
        raise ConfigError(f"{called}: it lacks {' and '.join(lacking)}, which a model needs")
    return ModelKind(
        _TARGETS[kind],
        ("metadata", "tuning"),
        fixed={"estimator": estimator, "called": called},
        outcome=kind,
        brought=identity_of(estimator, called, version),
        codec=codec,
    )


def register_model(
    name: str,
    estimator: Any,
    outcome: str | None = None,
    version: str = "",
    codec: Any = None,
) -> None:
    """Registers a model in this process; arms can name it from now on.

    Args:
        name: What `ablation.models` and `ablation.arms` call it. Registering it again replaces it.
        estimator: See `own_model`; or a `ModelKind`, for a class that follows our own protocol.
        outcome: See `own_model`.
        version: See `own_model`.
        codec: See `own_model`.

    Raises:
        ConfigError: The name is malformed or taken, or the estimator cannot be a model.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"model name {name!r}: use letters, digits, '_', '-' and '.'")
    if name in MODELS or name in SURVIVAL_MODELS:
        raise ConfigError(f"model name {name!r} is that of a model of melafuse; take another")
    if isinstance(estimator, ModelKind):
        _registered[name] = _named(estimator, name, version)
    else:
        _registered[name] = own_model(estimator, outcome, version, codec, name)


def registered() -> Mapping[str, ModelKind]:
    """What was registered in this process, for processes that fit for it."""
    return dict(_registered)


def take_over(models: Mapping[str, ModelKind]) -> None:
    """Registers in a worker what was registered in the process that it works for."""
    _registered.update(models)


def own_names() -> tuple[str, ...]:
    """Names of registered models, then of those that installed packages bring."""
    return (*_registered, *(name for name in plugins("melafuse.models") if name not in _registered))


def find_own(name: str) -> ModelKind | None:
    """A model that is no part of melafuse; None where nothing has this name.

    Raises:
        ConfigError: A package registers it, and it cannot be loaded or is no model.
    """
    if name in _registered:
        return _registered[name]
    plugin = plugins("melafuse.models").get(name)
    return None if plugin is None else _of_plugin(plugin)


_loaded: dict[Plugin, ModelKind] = {}


def _of_plugin(plugin: Plugin) -> ModelKind:
    if plugin not in _loaded:
        brought = {"package": plugin.distribution, "version": plugin.version}
        found = plugin.load()
        if isinstance(found, ModelKind):
            kind = _named(found, plugin.name, plugin.version)
        else:
            kind = own_model(found, called=plugin.name)
        _loaded[plugin] = dataclasses.replace(kind, brought={**kind.brought, **brought})
    return _loaded[plugin]


def _named(kind: ModelKind, name: str, version: str) -> ModelKind:
    """A kind with what names its results."""
    if kind.brought:
        return kind
    target = (
        kind.target if isinstance(kind.target, str) else identity_of(kind.target, name, version)
    )
    fixed = identity_of(dict(kind.fixed), name, version)
    return dataclasses.replace(kind, brought={"model": target, "fixed": fixed, "version": version})


def _outcome(estimator: Any) -> str:
    if hasattr(estimator, "predict_proba"):
        return "binary"
    if any(hasattr(estimator, name) for name in _RISKS):
        return "time_to_event"
    return ""
