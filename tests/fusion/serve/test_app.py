"""The service over real sockets: scores, refusals, limits, and nothing left behind."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundle_example import Fitted
from locations import ROOT
from PIL import Image
from serve_example import multipart, running, score, send

from featurestore.errors import ConfigError
from fusion.predict import Predictor, prediction_record
from fusion.serve.app import make_app
from fusion.serve.batching import Batcher, Overloaded
from fusion.serve.limits import Limits
from fusion.serve.models import PredictionOut
from fusion.serve.page import policy
from fusion.serve.run import is_local, read_token, run_server

pytestmark = pytest.mark.slow
TOKEN = "a token of the tests"


@pytest.fixture(scope="module")
def predictor(tiny: Fitted) -> Predictor:
    """The tiny bundle at work."""
    return Predictor.load(tiny.bundle)


@pytest.fixture(scope="module")
def url(predictor: Predictor) -> Iterator[str]:
    """A service with small limits."""
    limits = Limits(upload_bytes=2_000_000, pixels=1_000_000, images=2, body_seconds=3)
    with running(make_app(predictor, limits, hosts={"127.0.0.1", "localhost"})) as address:
        yield address


@pytest.fixture(scope="module")
def picture(tiny: Fitted) -> bytes:
    """An image of the cohort."""
    return tiny.images_of(str(tiny.study.cohort.patients["patient_id"].iloc[0]))[0].read_bytes()


def test_the_service_scores_as_python_does(
    url: str, tiny: Fitted, predictor: Predictor, picture: bytes
) -> None:
    for patient in tiny.study.cohort.patients["patient_id"].tolist()[:4]:
        values, images = tiny.values_of(patient), tiny.images_of(patient)[:2]
        status, _, answer = score(url, [i.read_bytes() for i in images], values)
        assert status == 200
        PredictionOut.model_validate(answer, strict=True)
        own = predictor.predict([predictor.case(values, [i.read_bytes() for i in images])])[0]
        expected = prediction_record(own, predictor.bundle)
        del expected["patient_id"]
        assert answer == json.loads(json.dumps(expected))
    for images_, values_ in (([picture], None), ([], {"age": 50})):
        assert score(url, images_, values_)[0] == 200


def test_explanations_come_with_the_score(url: str, picture: bytes) -> None:
    status, _, answer = score(url, [picture], {"age": 50, "sex": "Male"}, "?explain=true")
    assert status == 200
    PredictionOut.model_validate(answer, strict=True)
    overlays = answer["explanation"]["overlays"]
    assert [o["encoder"] for o in overlays] == ["resnet18", "efficientnet_b0"]
    shown = Image.open(io.BytesIO(base64.b64decode(overlays[0]["png_base64"])))
    assert max(shown.size) == 448
    names = {c["name"] for c in answer["explanation"]["contributions"]}
    assert {"Age at diagnosis", "Sex", "resnet18"} <= names


def _png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def _bomb() -> bytes:
    """A PNG of a few kilobytes that states 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4)
        return len(data).to_bytes(4) + kind + data + crc

    header = (60_000).to_bytes(4) * 2 + bytes([1, 0, 0, 0, 0])
    data = zlib.compress(bytes(1_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("empty", 422),
        ("junk", 415),
        ("html", 415),
        ("svg", 415),
        ("zip", 415),
        ("eps", 415),
        ("truncated", 422),
        ("header only", 422),
        ("too many pixels", 413),
        ("bomb", 413),
        ("polyglot", 200),
        ("three", 413),
    ],
)
def test_images_of_all_kinds(kind: str, status: int, url: str, picture: bytes) -> None:
    images = {
        "empty": [b""],
        "junk": [os.urandom(500)],
        "html": [b"<html><script>alert(1)</script>"],
        "svg": [b'<svg xmlns="http://www.w3.org/2000/svg"/>'],
        "zip": [b"PK\x03\x04" + bytes(100)],
        "eps": [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(rm) run\n"],
        "truncated": [picture[: len(picture) // 2]],
        "header only": [picture[:700]],
        "too many pixels": [_png((1200, 900))],
        "bomb": [_bomb()],
        # Whatever is hung on to a picture is never looked at.
        "polyglot": [picture + b"<script>alert(1)</script>PK\x03\x04"],
        "three": [picture] * 3,
    }[kind]
    found, told, answer = score(url, images)
    assert found == status, answer
    if status != 200:
        assert told["content-type"] == "application/problem+json"
        assert answer["status"] == status
        assert "\n" not in answer["detail"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (b"{", "no JSON"),
        (b"[1]", "object"),
        (b"[" * 50_000, "no JSON"),
        (b"\xff\xfe\x00", ""),
        (b'{"age": NaN}', "NaN is no JSON; write null"),
        (b'{"age": 1e999}', "beyond the range of numbers"),
        (b'{"age": 1, "age": 2}', "'age' stands twice"),
        (b'{"sex": "\\ud800"}', "lone surrogate"),
        (b'{"age": "61; DROP TABLE"}', "not a number"),
        (b'{"ages": 61}', "did you mean"),
        (b'{"age": -40}', "cannot be meant"),
        (b'{"sex": {"a": 1}}', "not a level"),
        (b'{"age": ' + b"9" * 5000 + b"}", ""),
        (b'{"__proto__": 1}', "takes no value"),
        (b"{}", "nothing was given"),
    ],
)
def test_absurd_metadata_is_refused_in_one_line(metadata: bytes, said: str, url: str) -> None:
    body, kind = multipart([("metadata", None, metadata)])
    status, _, answer = send(f"{url}/v1/predict", body, kind)
    assert status == 422, answer
    assert said in answer["detail"]
    assert "\n" not in answer["detail"]
    assert len(answer["detail"]) < 700


def test_bodies_that_are_no_form_are_refused(url: str, picture: bytes) -> None:
    predict = f"{url}/v1/predict"
    assert send(predict, picture, "image/jpeg")[0] == 415
    assert send(predict, b"{}", "application/json")[0] == 415
    assert send(predict, b"", "multipart/form-data")[0] == 400
    assert send(predict, b"--x", "multipart/form-data; boundary=y")[0] in (400, 422)
    assert send(predict, b"\r\n\r\n" * 50, "multipart/form-data; boundary=" + "x" * 300)[0] in (
        400,
        422,
    )
    body, kind = multipart([("image", "a.jpg", picture)])
    assert send(predict, body[:-40], kind)[0] in (400, 422)
    odd, kind = multipart([("image", "a.jpg", picture), ("password", None, b"x")])
    assert send(predict, odd, kind)[0] in (400, 422)
    no_file, kind = multipart([("image", None, b"text")])
    assert send(predict, no_file, kind)[0] == 422
    twice, kind = multipart([("metadata", None, b"{}"), ("metadata", None, b"{}")])
    assert send(predict, twice, kind)[0] in (400, 422)
    assert send(f"{predict}?explain=maybe", *multipart([("metadata", None, b"{}")]))[0] == 422
    assert send(f"{url}/v1/predict")[0] == 405
    assert send(f"{url}/etc/passwd")[0] == 404


def test_large_bodies_are_refused_whether_they_say_so_or_not(url: str, picture: bytes) -> None:
    status, _, answer = score(url, [picture + bytes(3_000_000)])
    assert (status, answer["detail"]) == (413, "the body is larger than 2 MB")
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nConnection: close\r\n\r\n"
        )
        client.sendall(head.encode())
        start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        for chunk in [start, *[bytes(100_000)] * 25]:
            client.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_ends_is_given_up(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(
            f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 408")


def test_bodies_that_crawl_in_keep_nobody_waiting(predictor: Predictor, picture: bytes) -> None:
    limits = Limits(waiting=2, body_seconds=60, body_start_seconds=2)
    with running(make_app(predictor, limits)) as address, contextlib.ExitStack() as stack:
        host, _, port = address.removeprefix("http://").partition(":")
        crawling = []
        for _ in range(12):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            client.sendall(
                f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode()
            )
            crawling.append(client)
        assert score(address, [picture])[0] == 200
        assert all(client.recv(1000).startswith(b"HTTP/1.1 408") for client in crawling)


def test_the_memory_of_bodies_is_bounded(predictor: Predictor, picture: bytes) -> None:
    limits = Limits(waiting=1, upload_bytes=200_000)
    with running(make_app(predictor, limits)) as address, contextlib.ExitStack() as stack:
        host, _, port = address.removeprefix("http://").partition(":")
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 190067\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        ).encode()
        first, second = (
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            for _ in range(2)
        )
        first.sendall(head + bytes(150_000))
        time.sleep(0.5)
        second.sendall(head + bytes(190_000))
        assert second.recv(1000).startswith(b"HTTP/1.1 503")
        first.close()
        time.sleep(0.5)
        assert score(address, [picture])[0] == 200


def test_head_is_get_without_a_body(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    for path, status in (("/health", 200), ("/v1/schema", 200), ("/", 200), ("/none", 404)):
        with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=30)) as asked:
            asked.request("HEAD", path)
            answer = asked.getresponse()
            assert (answer.status, answer.read()) == (status, b"")


def scan_bomb() -> bytes:
    """A small progressive JPEG of thousands of scans that say nothing."""
    buffer = io.BytesIO()
    Image.new("RGB", (1000, 1000), (120, 80, 60)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * 8000 + data[-2:]


def test_a_scan_bomb_is_refused_before_it_is_decoded(url: str, picture: bytes) -> None:
    status, _, answer = score(url, [scan_bomb()])
    assert (status, answer["detail"]) == (422, "image 1: too many scans")
    assert score(url, [picture])[0] == 200


def test_a_client_that_leaves_harms_nobody(url: str, picture: bytes) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(
                f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode()
            )
    assert score(url, [picture])[0] == 200


def test_schema_health_metrics_documents_and_page(url: str, predictor: Predictor) -> None:
    record = predictor.bundle.record
    status, _, schema = send(f"{url}/v1/schema")
    assert status == 200
    assert [c["name"] for c in schema["inputs"]] == [c.name for c in record.inputs]
    assert schema["arms"][0]["performance"]["metrics"]["auroc"]["value"] is not None
    assert send(f"{url}/health")[2] == {"status": "ok", "bundle": predictor.bundle.digest}
    metrics = send(f"{url}/metrics")[2].decode()
    assert 'melafuse_requests_total{route="/v1/schema",status="200"}' in metrics
    status, told, page = send(f"{url}/")
    text = page.decode()
    assert status == 200
    for said in (record.disclaimer, record.watermark, *record.caveats):
        assert said in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert told["content-security-policy"] == policy(text)["content-security-policy"]
    assert "unsafe" not in told["content-security-policy"]
    assert told["x-content-type-options"] == "nosniff"
    status, _, docs = send(f"{url}/docs")
    assert status == 200
    assert b"/v1/predict" in docs
    assert b"https://" not in docs.replace(b"https://json-schema.org", b"")
    assert "/v1/predict" in send(f"{url}/openapi.json")[2]["paths"]


def test_another_host_name_is_refused(url: str) -> None:
    """A page that rebinds its name to this machine gets nothing."""
    assert send(f"{url}/v1/schema", headers={"Host": "evil.example"})[0] == 421
    assert send(f"{url}/v1/schema", headers={"Host": "localhost:1"})[0] == 200


def test_a_token_guards_everything_but_page_and_health(
    predictor: Predictor, picture: bytes
) -> None:
    with running(make_app(predictor, Limits(), TOKEN)) as address:
        for path in ("/v1/schema", "/metrics", "/docs", "/openapi.json"):
            status, told, answer = send(address + path)
            assert (status, told["www-authenticate"]) == (401, "Bearer")
            assert "token" in answer["detail"]
            right = {"Authorization": f"Bearer {TOKEN}"}
            assert send(address + path, headers=right)[0] == 200
        assert score(address, [picture])[0] == 401
        assert score(address, [picture], headers={"Authorization": "Bearer wrong"})[0] == 401
        assert score(address, [picture], headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
        assert send(f"{address}/")[0] == send(f"{address}/health")[0] == 200


def test_overload_is_said_and_every_request_is_answered(
    predictor: Predictor, picture: bytes
) -> None:
    with running(make_app(predictor, Limits(waiting=3))) as address:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: score(address, [picture], None, "?explain=true"),
                                    range(60)))  # fmt: skip
        codes = [status for status, _, _ in answers]
        assert set(codes) == {200, 503}
        for status, told, answer in answers:
            if status == 503:
                assert int(told["retry-after"]) >= 1
                assert answer["title"] == "Service Unavailable"
        probabilities = {a["probability"] for status, _, a in answers if status == 200}
        assert len(probabilities) == 1
        assert score(address, [picture])[0] == 200
        metrics = send(f"{address}/metrics")[2].decode()
        assert "melafuse_waiting 0.0" in metrics


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
            time.sleep(0.25)
            child.send_signal(signal.SIGTERM)
            answers = [future.exception() or future.result()[0] for future in waiting]
        child.wait(40)
    finally:
        child.kill()
    assert 200 in answers
    # One that came after the signal finds the door closed; none is cut off in the middle.
    assert all(a == 200 or "refused" in str(a) for a in answers), answers


def _address(log: Path, child: subprocess.Popen[Any]) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and child.poll() is None:
        text = log.read_text()
        if "http://" in text and "not a medical device" in text.lower():
            return text.split(" at ")[1].split("/ ")[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_jobs_are_batched_answered_and_bounded() -> None:
    held, seen = threading.Event(), []

    def work(jobs: Any) -> list[int]:
        held.wait(10)
        seen.append(list(jobs))
        if 3 in jobs:
            raise ValueError("three")
        return [2 * job for job in jobs]

    batcher = Batcher[int, int](work, size=4, capacity=5)
    first = batcher.submit(0)
    time.sleep(0.1)  # it is being worked on
    rest = [batcher.submit(k) for k in range(1, 6)]
    with pytest.raises(Overloaded):
        batcher.submit(6)
    held.set()
    assert first.result(5) == 0
    assert [f.result(5) for k, f in enumerate(rest, 1) if k != 3] == [2, 4, 8, 10]
    with pytest.raises(ValueError, match="three"):
        rest[2].result(5)
    batcher.close()
    with pytest.raises(Overloaded):
        batcher.submit(1)
    assert seen[0] == [0]
    assert [1, 2, 3, 4] in seen


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
