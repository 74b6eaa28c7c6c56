"""Measures what clients of `melafuse serve` wait for while others attack it.

    python -m benchmarks.service_attack BUNDLE IMAGE

Medians of requests with the image and without one, alone, beside two clients that send JPEGs of
thousands of scans (plain ones, and ones with a second picture behind), and beside bodies and
headers that crawl in. At last such pictures are in flight when the service is asked to end.
"""

from __future__ import annotations

import collections
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from PIL import Image

HEAD = "POST /v1/predict HTTP/1.1\r\nHost: {host}\r\n"
CRAWLING = 40
SCANS = 8000


def bomb(form: str) -> bytes:
    """A small picture whose last scan stands thousands of times."""
    picture, buffer = Image.new("RGB", (1000, 1000), (120, 80, 60)), io.BytesIO()
    more = {"save_all": True, "append_images": [picture]} if form == "MPO" else {}
    picture.save(buffer, form, progressive=True, **more)
    data = buffer.getvalue()
    end = data.find(b"\xff\xd9")
    return data[:end] + data[data.rfind(b"\xff\xda", 0, end) : end] * SCANS + data[end:]


def ask(port: int, image: bytes | None, values: dict[str, object]) -> tuple[int, float]:
    """Status and seconds of one request; status 0 where the connection was refused or cut."""
    parts = [(b'name="metadata"', json.dumps(values).encode())] if image is None else []
    parts += [(b'name="image"; filename="i"', image)] if image is not None else []
    body = b"".join(
        b"--b\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % part for part in parts
    )
    began = time.monotonic()
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as line:
            form = {"Content-Type": "multipart/form-data; boundary=b"}
            line.request("POST", "/v1/predict", body + b"--b--\r\n", form)
            answer = line.getresponse()
            answer.read()
            return answer.status, time.monotonic() - began
    except (OSError, http.client.HTTPException):
        return 0, time.monotonic() - began


@contextlib.contextmanager
def bombing(port: int, seen: collections.Counter[int]) -> Iterator[None]:
    """Two clients that send one bomb after another."""
    over = threading.Event()

    def send(data: bytes) -> None:
        while not over.is_set():
            seen[ask(port, data, {})[0]] += 1

    threads = [threading.Thread(target=send, args=(bomb(form),)) for form in ("JPEG", "MPO")]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def crawling(port: int, seen: collections.Counter[int]) -> Iterator[None]:
    """Bodies and headers of which little comes, and never the end."""
    body = HEAD + "Content-Length: 100000\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    with contextlib.ExitStack() as stack:
        lines = []
        for k in range(2 * CRAWLING):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            line.sendall((body if k % 2 else HEAD).format(host="127.0.0.1").encode() + b"--b")
            lines.append(line)
        yield
        for line in lines:
            with contextlib.suppress(OSError):
                words = line.recv(100).split()
                seen[int(words[1]) if len(words) > 1 else 0] += 1


@click.command()
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("image", type=click.Path(exists=True, path_type=Path))
@click.option("--requests", default=10, show_default=True)
def main(bundle: Path, image: Path, requests: int) -> None:
    """Prints medians and status codes."""
    root = Path(__file__).resolve().parents[1]
    server = subprocess.Popen(
        [sys.executable, str(root / "cli.py"), "serve", str(bundle), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert server.stderr is not None
    port = next(int(w.split(":")[2].split("/")[0]) for w in server.stderr if "http://" in w)
    threading.Thread(target=server.stderr.read, daemon=True).start()
    picture, values = image.read_bytes(), {"age": 61}
    attacks: dict[str, Callable[..., contextlib.AbstractContextManager[None]]] = {
        "alone": lambda *_: contextlib.nullcontext(),
        "bombs": bombing,
        "crawling": crawling,
    }
    try:
        while server.poll() is None and ask(port, picture, {})[0] == 0:
            time.sleep(0.2)  # it says where it will listen before it does
        for name, attack in attacks.items():
            seen: collections.Counter[int] = collections.Counter()
            with attack(port, seen):
                asked = {
                    "with an image": [ask(port, picture, {}) for _ in range(requests)],
                    "without": [ask(port, None, values) for _ in range(requests)],
                }
            for what, answers in asked.items():
                codes = dict(collections.Counter(status for status, _ in answers))
                median = statistics.median(seconds for _, seconds in answers)
                click.echo(f"{name:<9} {what:<14} median {median:6.3f} s  answers {codes}")
            click.echo(f"{name:<9} the others     answers {dict(seen)}")
        last: collections.Counter[int] = collections.Counter()
        with bombing(port, last), bombing(port, last), bombing(port, last):
            time.sleep(0.2)
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            click.echo(f"SIGTERM   ended after {time.monotonic() - began:.1f} s")
        click.echo(f"SIGTERM   the others     answers {dict(last)}; 0 is a closed door")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
