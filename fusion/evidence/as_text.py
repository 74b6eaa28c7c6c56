"""Evidence as text and back: data classes, tables and arrays, to the last bit; nothing is pickled.

A text names only data classes of our own that are loaded already, so reading one builds values and
runs nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

_ROOMS = ("fusion.", "featurestore.")
_PLAIN = (bool, int, float, str)


def to_text(value: Any) -> str | None:
    """The value as JSON; None where it would not come back as it is."""
    try:
        text = json.dumps(_written(value))
        return text if same(from_text(text), value) else None
    except (TypeError, ValueError, KeyError):
        return None


def from_text(text: str) -> Any:
    """What `to_text` wrote.

    Raises:
        ValueError, KeyError, TypeError: It is no such text, or of another version of our classes.
    """
    known = _classes()
    return _read(json.loads(text), known)


def same(one: Any, other: Any) -> bool:
    """Whether two values agree in type, content and order; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, n), getattr(other, n)) for n in _fields(one))
    if isinstance(one, pd.DataFrame):
        return _same_table(one, other)
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        if one.dtype == object:
            return alike and same(one.ravel().tolist(), other.ravel().tolist())
        return alike and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or (one != one and other != other))


def _same_table(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    if not (one.index.equals(other.index) and type(one.index) is type(other.index)):
        return False
    if not same(list(one.columns), list(other.columns)) or not one.dtypes.equals(other.dtypes):
        return False
    return all(
        same(one.iloc[:, k].tolist(), other.iloc[:, k].tolist()) for k in range(one.shape[1])
    )


def _written(value: Any) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    if type(value) is list:
        return [_written(one) for one in value]
    if type(value) is tuple:
        return {"tuple": [_written(one) for one in value]}
    if type(value) is dict:
        return {"dict": [[_written(k), _written(v)] for k, v in value.items()]}
    if type(value) is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {n: _written(getattr(value, n)) for n in _fields(value)}
        return {"class": _name(type(value)), "fields": fields}
    if isinstance(value, pd.DataFrame):
        if type(value.index) is not pd.RangeIndex or value.index.start or value.index.step != 1:
            raise TypeError("an index")
        columns = [value.iloc[:, k] for k in range(value.shape[1])]
        return {
            "table": [_written(name) for name in value.columns],
            "rows": len(value),
            "types": [str(column.dtype) for column in columns],
            "values": [[_written(v) for v in column.tolist()] for column in columns],
        }
    if isinstance(value, np.ndarray | np.generic):
        return _written_array(value)
    raise TypeError(f"{type(value).__name__} has no text")


def _written_array(value: np.ndarray | np.generic) -> dict[str, Any]:
    what = "array" if isinstance(value, np.ndarray) else "number"
    if value.dtype == object:
        content: Any = [_written(one) for one in np.asarray(value).ravel().tolist()]
    else:
        content = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {what: content, "type": value.dtype.str, "shape": list(value.shape)}


def _read(written: Any, known: dict[str, type]) -> Any:
    if isinstance(written, list):
        return [_read(one, known) for one in written]
    if not isinstance(written, dict):
        return written
    (reader,) = [reader for kind, reader in _READERS.items() if kind in written]
    return reader(written, known)


def _read_class(written: dict[str, Any], known: dict[str, type]) -> Any:
    fields = {name: _read(one, known) for name, one in written["fields"].items()}
    return known[written["class"]](**fields)


def _read_table(written: dict[str, Any], known: dict[str, type]) -> pd.DataFrame:
    index = pd.RangeIndex(written["rows"])
    columns = [
        pd.Series(_read(values, known), index=index, dtype=kind)
        for values, kind in zip(written["values"], written["types"], strict=True)
    ]
    table = pd.DataFrame(dict(enumerate(columns)), index=index)
    if columns:
        table.columns = pd.Index(_read(written["table"], known))
    return table


def _read_array(written: dict[str, Any], known: dict[str, type]) -> np.ndarray:
    shape, kind = tuple(written["shape"]), np.dtype(written["type"])
    content = written["array"]
    if kind.hasobject:
        made = np.empty(len(content), dtype=object)
        made[:] = _read(content, known)
        return made.reshape(shape)
    return np.frombuffer(base64.b64decode(content), dtype=kind).reshape(shape).copy()


def _read_number(written: dict[str, Any], known: dict[str, type]) -> Any:
    return np.frombuffer(base64.b64decode(written["number"]), np.dtype(written["type"]))[0]


_READERS: dict[str, Callable[[dict[str, Any], dict[str, type]], Any]] = {
    "class": _read_class,
    "tuple": lambda written, known: tuple(_read(one, known) for one in written["tuple"]),
    "dict": lambda written, known: {_read(k, known): _read(v, known) for k, v in written["dict"]},
    "bytes": lambda written, known: base64.b64decode(written["bytes"]),
    "table": _read_table,
    "array": _read_array,
    "number": _read_number,
}


def _fields(value: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(value)]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _classes() -> dict[str, type]:
    """Data classes of our own that are loaded."""
    modules = [module for name, module in sys.modules.items() if name.startswith(_ROOMS)]
    return {
        _name(kind): kind
        for module in modules
        for kind in list(vars(module).values())
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    }
