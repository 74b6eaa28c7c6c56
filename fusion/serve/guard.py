"""Around every request: who may ask, what headers an answer has, and that errors say nothing more.

Written as plain ASGI: wrapping responses costs nothing, and a body is never touched before the
token was seen.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusion.serve.measures import Measures
from fusion.serve.problems import Problem, problem_response

OPEN_ROUTES = ("/", "/health")
"""Routes that need no token: they hold nothing of a patient, and the page asks for the token."""

log = logging.getLogger("melafuse.serve")

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Middleware: host, token, headers, counters, and the last resort for errors."""

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        hosts: Collection[str] | None,
        routes: Collection[str],
        measures: Measures,
    ) -> None:
        """Stores the rules.

        Args:
            app: What is guarded.
            token: What requests must carry; None where no token is asked for.
            hosts: Names that a `Host` header may have, against pages that rebind theirs to this
                machine; None takes all.
            routes: Known paths, to count by.
            measures: What is counted.
        """
        self._app = app
        self._token = token
        self._hosts = None if hosts is None else frozenset(hosts)
        self._routes = frozenset(routes)
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        begun = False

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if scope["method"] == "HEAD":  # the server sends no body, whatever the answer
                scope = {**scope, "method": "GET"}
            refusal = self._refusal(scope)
            app = self._app if refusal is None else problem_response(refusal)
            await app(scope, receive, answer)
        except Exception as error:
            # The message of an error may hold what a request said, so only its kind is logged.
            log.error("a request failed: %s", type(error).__name__)
            if begun:
                raise
            failure = Problem(500, "the service failed on this request; its log says the kind")
            await problem_response(failure)(scope, receive, answer)
        finally:
            route = scope["path"] if scope["path"] in self._routes else "other"
            self._measures.requests.labels(route, str(status)).inc()
            self._measures.seconds.labels(route).observe(time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if self._hosts is not None:
            host = headers.get("host", "")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if name.strip("[]").lower() not in self._hosts:
                return Problem(421, "this service answers under the address that it listens on")
        if self._token is None or scope["path"] in OPEN_ROUTES:
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(
            given.strip().encode(), self._token.encode()
        ):
            return None
        return Problem(
            401,
            "this needs the token of the service: Authorization: Bearer TOKEN",
            {"www-authenticate": "Bearer"},
        )
