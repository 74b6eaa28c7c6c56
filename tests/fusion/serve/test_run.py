"""The service as a process of its own: what it leaves behind, how it ends, where it listens."""

from __future__ import annotations

import concurrent.futures
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from bundle_example import Fitted
from locations import ROOT
from PIL import Image
from serve_example import TOKEN, score

from featurestore.errors import ConfigError
from fusion.serve.run import is_local, read_token, run_server

pytestmark = pytest.mark.slow


def test_nothing_of_a_patient_reaches_disk_or_logs(
    tiny: Fitted, picture: bytes, tmp_path: Path
) -> None:
    """The server's own process, with a folder for temporary files that must stay empty."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    large = io.BytesIO()
    Image.effect_noise((1800, 1400), 90).convert("RGB").save(large, "PNG")  # above 1 MB
    assert len(large.getvalue()) > 2_000_000
    log = tmp_path / "log"
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(ROOT / "cli.py"), "serve", str(tiny.bundle),
             "--port", "0"],
            stdout=file, stderr=file, cwd=scratch,
            env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        address = _address(log, child)
        opened: set[str] = set()
        watching = True

        def watch() -> None:
            while watching:
                for link in Path(f"/proc/{child.pid}/fd").glob("*"):
                    try:
                        opened.add(str(link.readlink()))
                    except OSError:
                        continue
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        secret = "Unmistakable-4711"
        assert score(address, [large.getvalue()], {"sex": secret})[0] == 200
        assert score(address, [picture], {secret: 1})[0] == 422
        assert score(address, [b"junk"], {"age": 61})[0] == 415
        watching = False
        watcher.join()
        files = {name for name in opened if name.startswith(str(scratch)) or "deleted" in name}
        assert files == set()
        assert list(scratch.iterdir()) == []
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) in (0, -signal.SIGTERM)
    finally:
        child.kill()
    assert secret not in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_request_in_flight_is_answered_before_the_end(
    tiny: Fitted, picture: bytes, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(ROOT / "cli.py"), "serve", str(tiny.bundle),
             "--port", "0"],
            stdout=file, stderr=file, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        address = _address(log, child)
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            waiting = [pool.submit(score, address, [picture], None, "?explain=true")
                       for _ in range(6)]  # fmt: skip
            _await_work(address)
            child.send_signal(signal.SIGTERM)
            answers = [future.exception() or future.result()[0] for future in waiting]
        child.wait(40)
    finally:
        child.kill()
    assert 200 in answers
    # One that came after the signal finds the door closed; none is cut off in the middle.
    assert all(a == 200 or "refused" in str(a) for a in answers), answers


def _await_work(address: str) -> None:
    """Returns when the service says that a prediction is in flight."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
            found = re.search(r"^melafuse_waiting (\S+)", answer.read().decode(), re.MULTILINE)
        if found and float(found[1]) >= 1:
            return
    raise AssertionError("no prediction was in flight for a minute")


def _address(log: Path, child: subprocess.Popen[Any]) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and child.poll() is None:
        text = log.read_text()
        if "http://" in text and "not a medical device" in text.lower():
            return text.split(" at ")[1].split("/ ")[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_other_addresses_need_a_token(
    tiny: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MELAFUSE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        assert not is_local(host)
        with pytest.raises(ConfigError, match="set a token"):
            run_server(tiny.bundle, host, 0, None, 1, 1, 1, "cpu")
    assert all(map(is_local, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST")))
    short = tmp_path / "token"
    short.write_text("short")
    with pytest.raises(ConfigError, match="at least 16"):
        read_token(short)
    with pytest.raises(ConfigError, match="No such file"):
        read_token(tmp_path / "none")
    short.write_text(f"{TOKEN}\n")
    assert read_token(short) == TOKEN
    monkeypatch.setenv("MELAFUSE_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    with pytest.raises(ConfigError, match="cannot listen"):
        run_server(tiny.bundle, "127.0.0.1", taken.getsockname()[1], None, 1, 1, 1, "cpu")
    taken.close()
