"""A running service for tests: a real server on a free port of this machine."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI

TOKEN = "a token of the tests"


@contextlib.contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serves an application; yields its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def multipart(parts: Sequence[tuple[str, str | None, bytes]]) -> tuple[bytes, str]:
    """A body of parts (name, file name or None, content), and its content type."""
    boundary = uuid.uuid4().hex
    lines = []
    for name, file, content in parts:
        named = f'; filename="{file}"' if file is not None else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        lines += [head.encode(), content, b"\r\n"]
    return b"".join([*lines, f"--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}"
    )


def send(
    url: str,
    body: bytes | None = None,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and content of an answer; JSON is parsed."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))
    if kind is not None:
        request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            status, told, data = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        status, told, data = error.code, dict(error.headers), error.read()
    told = {k.lower(): v for k, v in told.items()}
    return status, told, json.loads(data) if "json" in told.get("content-type", "") else data


def score(
    url: str,
    images: Sequence[bytes] = (),
    values: Mapping[str, Any] | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    """Asks for a prediction."""
    parts: list[tuple[str, str | None, bytes]] = [("image", "image", data) for data in images]
    if values is not None:
        parts.append(("metadata", None, json.dumps(values).encode()))
    body, kind = multipart(parts)
    return send(f"{url}/v1/predict{query}", body, kind, headers)
