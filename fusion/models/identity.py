"""What an estimator of somebody else is: class, package, version and parameters, as plain JSON.

Finished parts are named by it, so that another version or another setting is fitted anew.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.errors import ConfigError


def identity_of(value: Any, where: str, version: str = "") -> Any:
    """Names an estimator, or one of its parameters, by all that decides what it does.

    An object with `get_params` (scikit-learn's convention) is its class and its parameters, and so
    are those inside it; a class or function is its package and version or, of code that no package
    has, the SHA-256 of its source.

    Args:
        value: The estimator or parameter.
        where: What it is called in an error.
        version: What the author says of code whose source cannot be read.

    Raises:
        ConfigError: Something cannot be named.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return identity_of(value.item(), where, version)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufSU":
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": [str(value.dtype), list(value.shape), digest]}
    if isinstance(value, np.random.RandomState | np.random.Generator):
        raise ConfigError(f"{where}: give a whole number as the state of random draws, or None")
    if isinstance(value, list | tuple | range):
        return [identity_of(v, f"{where}[{k}]", version) for k, v in enumerate(value)]
    if isinstance(value, set | frozenset):
        return sorted(identity_of(v, where, version) for v in value)
    if isinstance(value, Mapping):
        return {str(k): identity_of(v, f"{where}[{k!r}]", version) for k, v in value.items()}
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        return {"partial": [identity_of(part, where, version) for part in parts]}
    if isinstance(value, type | np.ufunc) or inspect.isroutine(value):
        return code_of(value, where, version) | _closed_over(value, where, version)
    if hasattr(value, "get_params"):
        own = value.get_params(deep=False)
        return code_of(type(value), where, version) | {
            "parameters": {k: identity_of(own[k], f"{where}.{k}", version) for k in sorted(own)}
        }
    if version:
        return code_of(type(value), where, version)
    raise ConfigError(
        f"{where} is a {type(value).__name__}, which nothing names for certain; give it "
        f"`get_params` as scikit-learn has it, or state version="
    )


def code_of(code: Any, where: str, version: str = "") -> dict[str, Any]:
    """Names a class or function: where it is, and its package and version or its source.

    Raises:
        ConfigError: It is of no package, its source cannot be read, and no version is stated.
    """
    code = inspect.unwrap(code)
    module = str(getattr(code, "__module__", None) or "")
    name = str(getattr(code, "__qualname__", type(code).__qualname__))
    found: dict[str, Any] = {"class": f"{module}.{name}"}
    if version:
        return found | {"version": version}
    package = _packages().get(module.partition(".")[0])
    if package:
        return found | {"packages": [[p, importlib.metadata.version(p)] for p in package]}
    if module.partition(".")[0] in sys.stdlib_module_names:
        return found | {"packages": [["python", ".".join(map(str, sys.version_info[:3]))]]}
    source = _source(code, module)
    if source is None:
        raise ConfigError(
            f"{where}: the source of {name} cannot be read, so nothing would notice when it "
            f"changes; state version="
        )
    return found | {"source": hashlib.sha256(source.encode()).hexdigest()}


def _closed_over(function: Any, where: str, version: str) -> dict[str, Any]:
    """What tells one function from another of the same name: its line, and values around it."""
    code = getattr(function, "__code__", None)
    if code is None or "<" not in function.__qualname__:
        return {}
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return {"line": code.co_firstlineno, "around": identity_of(cells, where, version)}


def _source(code: Any, module: str) -> str | None:
    """All of the module's source, or of a notebook the definition."""
    path = getattr(sys.modules.get(module), "__file__", None)
    try:
        if path is not None and module != "__main__":
            return Path(path).read_text(encoding="utf-8")
        return inspect.getsource(code)
    except (OSError, TypeError, UnicodeDecodeError):
        return None


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    """Installed packages by the top-level modules that they bring."""
    found = importlib.metadata.packages_distributions()
    return {module: sorted(set(packages)) for module, packages in found.items()}
