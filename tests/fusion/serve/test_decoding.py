"""Pictures are decoded in processes that are killed when a picture takes too long."""

from __future__ import annotations

import contextlib
import io
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import fusion.serve.decoding
from extractor.images import Geometry, decode
from fusion.serve.decoding import Decoders
from fusion.serve.problems import Problem

GEOMETRIES = (Geometry(32), Geometry(48, "bilinear"))


def picture(side: int = 50) -> bytes:
    buffer = io.BytesIO()
    rng = np.random.default_rng(side)
    pixels = rng.integers(0, 255, (side, side + 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(GEOMETRIES, 10_000, 5_000)
    yield made
    made.close()


def test_the_squares_are_those_of_this_process(decoders: Decoders) -> None:
    squares, was_quick = decoders.decode(picture(), 1)
    expected = decode(picture(), GEOMETRIES, 10_000)
    assert was_quick
    assert list(squares) == list(expected)
    for geometry in GEOMETRIES:
        np.testing.assert_array_equal(squares[geometry], expected[geometry])


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"GIF89a nothing", 415, "image 2: not an image"),
        (picture(200), 413, "image 2: larger than 0.01 megapixels"),
        (picture(80), 422, "image 2: larger than 0.005 megapixels"),
        (picture()[:-300], 422, "image 2: "),
    ],
)
def test_refusals_come_with_their_status(
    decoders: Decoders, data: bytes, status: int, said: str
) -> None:
    with pytest.raises(Problem, match=said) as error:
        decoders.decode(data, 2)
    assert error.value.status == status


def test_a_picture_that_takes_too_long_costs_its_process_only(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes are stopped, so that any picture takes for ever."""
    decoders.decode(picture(), 1)
    monkeypatch.setattr(decoders._quick, "_seconds", 0.2)
    monkeypatch.setattr(decoders._slow, "_seconds", 0.2)
    stopped = [p for lane in (decoders._quick, decoders._slow) for p in lane._all]
    for process in stopped:
        if not process._is_ready:
            process._is_ready = process._pipe.recv_bytes() == b"ready"
        process._process.send_signal(signal.SIGSTOP)
    with pytest.raises(Problem, match="decoding it takes longer than"):
        decoders.decode(picture(), 1)
    assert sum(p._process.poll() is not None for p in stopped) == 2
    monkeypatch.setattr(decoders._quick, "_seconds", 60.0)
    monkeypatch.setattr(decoders._slow, "_seconds", 60.0)
    for process in stopped:
        process._process.kill()
    deadline = time.monotonic() + 60
    squares = {}
    while not squares and time.monotonic() < deadline:  # they are replaced one by one
        with contextlib.suppress(Problem):
            squares = dict(decoders.decode(picture(), 1)[0])
    assert set(squares) == set(GEOMETRIES)


def test_an_end_answers_503() -> None:
    decoders = Decoders(GEOMETRIES, 10_000, 5_000)
    decoders.close()
    with pytest.raises(Problem, match="the service is ending") as error:
        decoders.decode(picture(), 1)
    assert error.value.status == 503
    assert fusion.serve.decoding.SLOW_SECONDS < 30
