"""What each kind of endpoint brings: one file a kind, one line here to register it."""

from __future__ import annotations

from featurestore.errors import ConfigError
from fusion.endpoints.base import Endpoint
from fusion.endpoints.binary import BINARY
from fusion.endpoints.time_to_event import TIME_TO_EVENT

__all__ = ["BINARY", "ENDPOINTS", "TIME_TO_EVENT", "Endpoint", "find_endpoint"]

ENDPOINTS: dict[str, Endpoint] = {endpoint.kind: endpoint for endpoint in (BINARY, TIME_TO_EVENT)}
"""By kind of the outcome (`featurestore.outcomes.target.Kind`)."""


def find_endpoint(kind: str) -> Endpoint:
    """Looks a kind of endpoint up.

    Raises:
        ConfigError: Nothing is registered for this kind.
    """
    if kind not in ENDPOINTS:
        raise ConfigError(f"unknown kind of outcome {kind!r}; known: {', '.join(ENDPOINTS)}")
    return ENDPOINTS[kind]
