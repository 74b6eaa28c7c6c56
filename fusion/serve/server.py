"""What uvicorn lacks: a time limit on headers, an end that is announced, and a calm log."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from fusion.serve.app import Service

QUIET_SECONDS = 60.0


class Server(uvicorn.Server):
    """Tells where it listens once it does, and the service when waiting requests are out of time.

    Args:
        config: Of uvicorn.
        service: Told when the end has come.
        greeting: Written to standard error as soon as connections are taken, not before: whoever
            reads an address there may use it at once.
    """

    def __init__(self, config: uvicorn.Config, service: Service, greeting: str) -> None:
        super().__init__(config)
        self._service = service
        self._greeting = greeting
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Starts to listen, and says so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            sys.stderr.write(self._greeting)
            sys.stderr.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal to end."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            seconds = self._service.limits.ending_seconds
            self._loop.call_soon_threadsafe(
                self._loop.call_later, seconds, self._service.ending.set
            )


class Protocol(H11Protocol):
    """Closes connections whose request headers do not come to an end."""

    header_seconds = 10.0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Stops the clock when a request has begun, and starts it for the next one."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._patience is None:
            self._start()

    def on_response_complete(self) -> None:
        """The next request may have come with this one."""
        super().on_response_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._patience = self.loop.call_later(self.header_seconds, self._give_up)

    def _stop(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self.transport.close()


class Calm(logging.Filter):
    """Lets each message through once a minute, with how often it was held back."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        key = record.name, str(record.msg)
        now = time.monotonic()
        last, held_back = self._last.get(key, (-QUIET_SECONDS, 0))
        if now - last < QUIET_SECONDS:
            self._last[key] = last, held_back + 1
            return False
        self._last[key] = now, 0
        if held_back:
            record.msg = f"{record.msg} (and {held_back} times before this)"
        return True
