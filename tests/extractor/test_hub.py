from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from extractor.hub import is_reachable, patient_only_if_reachable


class _NotFound(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    """Address of a server that knows no page."""
    with http.server.HTTPServer(("127.0.0.1", 0), _NotFound) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def silent() -> str:
    """Address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def test_any_answer_counts_as_reachable(answering: str) -> None:
    assert is_reachable(answering)


def test_silence_and_nonsense_are_unreachable(silent: str) -> None:
    assert not is_reachable(silent)
    assert not is_reachable("nonsense")


def test_an_absent_hub_leaves_only_its_cache(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", silent)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with patient_only_if_reachable():
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("offline", [False, True])
def test_a_present_hub_is_asked_unless_the_user_forbade_it(
    answering: str, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", answering)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    with patient_only_if_reachable():
        assert constants.HF_HUB_OFFLINE is offline
