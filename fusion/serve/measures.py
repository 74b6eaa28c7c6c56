"""What the service counts, as Prometheus reads it; nothing of a patient is among it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """Counters of one service.

    Attributes:
        requests: By route and status.
        seconds: From the first byte to the answer, by route.
        batches: Patients that were scored together.
    """

    def __init__(self, bundle: str, in_flight: Callable[[], float]) -> None:
        """Makes them.

        Args:
            bundle: Digest of the bundle, as a label.
            in_flight: Requests that wait for an answer.
        """
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "melafuse_requests", "Requests", ("route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "melafuse_request_seconds",
            "Seconds from a request to its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batches = Histogram(
            "melafuse_batch_patients",
            "Patients scored together",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self._registry,
        )
        waiting = Gauge("melafuse_waiting", "Predictions in flight", registry=self._registry)
        waiting.set_function(in_flight)
        info = Gauge("melafuse_bundle", "The bundle", ("digest",), registry=self._registry)
        info.labels(bundle).set(1)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
