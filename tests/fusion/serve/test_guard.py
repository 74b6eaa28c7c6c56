"""Who may ask, and how much and how slowly: bodies, host names, the token."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from serve_example import TOKEN, multipart, running, score, send

from fusion.predict import Predictor
from fusion.serve.app import make_app
from fusion.serve.limits import Limits

pytestmark = pytest.mark.slow


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


def test_a_client_that_leaves_harms_nobody(url: str, picture: bytes) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(
                f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode()
            )
    assert score(url, [picture])[0] == 200


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
