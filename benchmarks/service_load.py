"""Measures `melafuse serve`: what it adds to a bare model call, and how it bears a mixed load.

    python benchmarks/service_load.py BUNDLE IMAGE... [--seconds 60] [--clients 8] [--queue 32]

First single requests alternate with the same call in this process. Then clients send what comes,
as fast as answers arrive: images, values, both, explanations, broken images, absurd values, bodies
that are too large, connections that are cut. Every request must be answered, by a score, a refusal
or a 503; the memory of the server is sampled.
"""

from __future__ import annotations

import collections
import http.client
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click
import psutil

from fusion.bundle.record import BundleRecord
from fusion.predict import Predictor

BOUNDARY = "benchmark"
LARGE = 3_000_000
PAUSE = 0.05
"""Seconds that a client waits after a 503: far less than it is asked to."""


def body(images: Sequence[bytes], values: dict[str, object] | None) -> bytes:
    """A multipart body."""
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n%s\r\n'
        % (BOUNDARY.encode(), data)
        for data in images
    ]
    if values is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
        parts.append(head.encode() + json.dumps(values).encode() + b"\r\n")
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def some_values(record: BundleRecord, rng: random.Random) -> dict[str, object]:
    """Values within the training ranges, about half of them missing."""
    found: dict[str, object] = {}
    for column in record.inputs:
        if rng.random() < 0.5:
            continue
        if column.training_range is not None:
            low, high = column.training_range
            found[column.name] = round(rng.uniform(low, high)) if column.kind == "binary" else (
                rng.uniform(low, high))  # fmt: skip
        elif column.training_levels:
            found[column.name] = rng.choice(column.training_levels)
    return found


def ask(connection: http.client.HTTPConnection, data: bytes, query: str = "") -> tuple[int, bytes]:
    """Status and content of one prediction."""
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", f"/v1/predict{query}", data, kind)
    answer = connection.getresponse()
    return answer.status, answer.read()


class Load:
    """Clients that never wait, and what they were told."""

    def __init__(self, port: int, images: Sequence[bytes], record: BundleRecord) -> None:
        self.port, self.images, self.record = port, images, record
        self.answers: collections.Counter[tuple[str, int]] = collections.Counter()
        self.unanswered: collections.Counter[str] = collections.Counter()
        self.seconds: list[float] = []
        self.until = 0.0

    def client(self, seed: int) -> None:
        """One client."""
        rng = random.Random(seed)
        connection = self._connect()
        while time.monotonic() < self.until:
            kind, data, query = self._draw(rng)
            if kind == "cut off":
                self._cut_off()
                continue
            started = time.perf_counter()
            try:
                status, _ = ask(connection, data, query)
            except (OSError, http.client.HTTPException) as error:
                self.unanswered[f"{kind}: {type(error).__name__}"] += 1
                connection.close()
                connection = self._connect()
                continue
            self.answers[kind, status] += 1
            if status == 503:
                time.sleep(PAUSE)
            if status == 200:
                self.seconds.append(time.perf_counter() - started)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def _cut_off(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n"
                b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b"
            )
        self.answers["cut off", 0] += 1

    def _draw(self, rng: random.Random) -> tuple[str, bytes, str]:
        image, values = rng.choice(self.images), some_values(self.record, rng) or {"": 1}
        p = rng.random()
        if p < 0.45:
            return "image and values", body([image], values), ""
        if p < 0.6:
            return "image", body([image], None), ""
        if p < 0.75:
            return "values", body([], values), ""
        if p < 0.85:
            return "explained", body([image], values), "?explain=true"
        if p < 0.9:
            return "broken image", body([image[: rng.randrange(len(image))]], values), ""
        if p < 0.94:
            return "absurd values", body([], {self.record.inputs[0].name: -1e12}), ""
        if p < 0.97:
            return "too large", body([bytes(LARGE + 1)], None), ""
        return "cut off", b"", ""


def start(bundle: Path, queue: int) -> tuple[subprocess.Popen[str], int]:
    """Starts the server; returns it and its port."""
    root = Path(__file__).resolve().parents[1]
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(root / "cli.py"), "serve", str(bundle), "--port", "0",
         "--queue", str(queue), "--max-upload-mb", str(LARGE / 1e6)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert child.stderr is not None
    line = child.stderr.readline()
    if " at http://127.0.0.1:" not in line:
        raise click.ClickException(line or "the server did not start")
    threading.Thread(target=child.stderr.read, daemon=True).start()
    return child, int(line.split("127.0.0.1:")[1].split("/")[0])


def overhead(bundle: Path, port: int, images: Sequence[bytes], rounds: int) -> None:
    """Prints the median of single requests beside that of the same bare calls."""
    predictor = Predictor.load(bundle)
    rng = random.Random(0)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    bare, served = [], []
    for k, image in zip(range(rounds + 5), itertools.cycle(images)):
        values = some_values(predictor.bundle.record, rng)
        started = time.perf_counter()
        own = predictor.predict([predictor.case(values, [image])])[0]
        between = time.perf_counter()
        status, content = ask(connection, body([image], values))
        ended = time.perf_counter()
        assert status == 200
        assert json.loads(content)["probability"] == own.score.probability
        if k >= 5:
            bare.append(between - started)
            served.append(ended - between)
    pairs = [1e3 * (s - b) for s, b in zip(served, bare, strict=True)]
    click.echo(
        f"bare call {1e3 * statistics.median(bare):.1f} ms, request "
        f"{1e3 * statistics.median(served):.1f} ms; the service adds "
        f"{statistics.median(pairs):+.1f} ms at the median of {rounds}"
    )


@click.command(help=__doc__)
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--clients", default=8, show_default=True)
@click.option("--queue", default=32, show_default=True)
@click.option("--rounds", default=100, show_default=True, help="Single requests.")
def main(
    bundle: Path, images: tuple[Path, ...], seconds: float, clients: int, queue: int, rounds: int
) -> None:
    """Prints overhead, counts, latencies and memory."""
    pictures = [path.read_bytes() for path in images]
    child, port = start(bundle, queue)
    try:
        overhead(bundle, port, pictures, rounds)
        load = Load(port, pictures, Predictor.load(bundle).bundle.record)
        server = psutil.Process(child.pid)
        load.until = time.monotonic() + seconds
        threads = [threading.Thread(target=load.client, args=(k,)) for k in range(clients)]
        for thread in threads:
            thread.start()
        memory = []
        while time.monotonic() < load.until:
            time.sleep(min(5.0, seconds / 20))
            memory.append(server.memory_info().rss / 1e6)
        for thread in threads:
            thread.join()
        for (kind, status), count in sorted(load.answers.items()):
            click.echo(f"{kind:<18}{status or '':<5}{count:>7}")
        for what, count in sorted(load.unanswered.items()):
            click.echo(f"UNANSWERED {what}: {count}")
        spent = sorted(load.seconds)
        click.echo(
            f"{len(spent) / seconds:.1f} scores/s; latency median "
            f"{1e3 * spent[len(spent) // 2]:.0f} ms, "
            f"95 % {1e3 * spent[int(0.95 * len(spent))]:.0f} ms"
        )
        tenths = [memory[int(k * (len(memory) - 1) / 10)] for k in range(11)]
        click.echo("resident memory, MB, at each tenth: " + " ".join(f"{m:.0f}" for m in tenths))
    finally:
        child.terminate()
        child.wait(40)


if __name__ == "__main__":
    main()
