"""Starts the server: where it listens, who may ask, and how it ends."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import signal
import socket
import sys
from pathlib import Path

from featurestore.errors import ConfigError
from fusion.serve.limits import Limits

TOKEN_VARIABLE = "MELAFUSE_TOKEN"
MIN_TOKEN = 16
_CONNECTIONS = 500


def run_server(
    bundle: Path,
    host: str,
    port: int,
    token_file: Path | None,
    max_upload_mb: float,
    max_megapixels: float,
    queue: int,
    device: str,
) -> None:
    """Serves a bundle until it is told to end; requests that wait are answered first.

    Args:
        bundle: Folder or zip.
        host: Address to listen on.
        port: Port; 0 takes a free one.
        token_file: File with the token, or None.
        max_upload_mb: Largest body.
        max_megapixels: Largest picture.
        queue: Requests that may wait.
        device: Where to compute.

    Raises:
        ConfigError: The extra is not installed, a token is missing or short, or the address
            cannot be listened on.
        DataError: The bundle is refused.
    """
    token = read_token(token_file)
    local = is_local(host)
    if token is None and not local:
        raise ConfigError(
            f"--host {host} can be reached from other machines: set a token with --token-file or "
            f"{TOKEN_VARIABLE}"
        )
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError:
        raise ConfigError("serve needs an extra: pip install 'melafuse[serve]'") from None
    from fusion.predict.predictor import Predictor
    from fusion.serve.app import make_app
    from fusion.serve.server import Calm, Protocol, Server

    predictor = Predictor.load(bundle, device)
    limits = Limits(
        upload_bytes=int(max_upload_mb * 1e6), pixels=int(max_megapixels * 1e6), waiting=queue
    )
    hosts = {"127.0.0.1", "localhost", "::1", host.lower()} if local else None
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Calm())
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    listening = _listen(host, port)
    app = make_app(predictor, limits, token, hosts)
    Protocol.header_seconds = limits.header_seconds
    config = uvicorn.Config(
        app,
        http=Protocol,
        limit_concurrency=_CONNECTIONS,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=20,
        timeout_graceful_shutdown=math.ceil(limits.ending_seconds) + 2,
        h11_max_incomplete_event_size=64_000,
    )
    shown = f"[{host}]" if ":" in host else host
    greeting = (
        f"bundle {predictor.bundle.short} at http://{shown}:{listening.getsockname()[1]}/ "
        f"(Ctrl-C ends)\n{predictor.bundle.record.disclaimer}\n"
    )
    # uvicorn passes the signal on when it has ended: an orderly end needs no words of its own.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Server(config, app.state.service, greeting).run(sockets=[listening])


def read_token(token_file: Path | None) -> str | None:
    """The token of a file, else of the environment; None without either.

    Raises:
        ConfigError: It cannot be read, or is shorter than `MIN_TOKEN`.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    if token_file is not None:
        try:
            token = token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"--token-file {token_file}: {reason}") from None
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii()):
        raise ConfigError(f"a token has at least {MIN_TOKEN} plain characters")
    return token


def is_local(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from None
    return listening
