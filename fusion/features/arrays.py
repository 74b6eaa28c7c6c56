"""Fitted states as named arrays, and the part of them that belongs to one piece."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]


def below(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns the arrays whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
