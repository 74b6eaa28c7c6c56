"""A process that decodes pictures for the service, and that can be killed.

A picture can be made so that decoding it, or only reading its header, takes minutes, and C code in
a thread cannot be stopped. The process takes one picture after another from a pipe, answers each,
and ends when the pipe does. Answers are plain bytes: nothing that it sends is unpickled.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from PIL import Image

from extractor.images import Geometry, decode
from featurestore.images import FORMATS, UnreadableImage

DECODED, REFUSED = b"D", b"R"


def refusal(data: bytes, pixels: int) -> tuple[int, str] | None:
    """Status and reason by the header alone: no image of a usual format, or too many pixels."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except Exception:  # decoders raise anything on damaged headers
        return 415, f"not an image ({', '.join(FORMATS)})"
    if width * height > pixels:
        return 413, f"larger than {pixels / 1e6:g} megapixels"
    return None


def answer(data: bytes, geometries: tuple[Geometry, ...], pixels: int, most: int) -> bytes:
    """What the process sends back for a picture.

    Args:
        data: Bytes of the file.
        geometries: Wanted squares.
        pixels: Larger pictures are refused by the service.
        most: Larger pictures are refused by the bundle.
    """
    refused = refusal(data, pixels)
    if refused is None:
        try:
            squares = decode(data, geometries, most)
            return DECODED + b"".join(squares[g].tobytes() for g in geometries)
        except UnreadableImage as error:
            refused = 422, error.reason
    return REFUSED + json.dumps(refused).encode()


def serve(pipe: Connection) -> None:
    """Answers pictures until the other end closes."""
    try:
        told: dict[str, Any] = json.loads(pipe.recv_bytes())
        geometries = tuple(Geometry(size, resampling) for size, resampling in told["geometries"])
        pipe.send_bytes(b"ready")
        while True:
            pipe.send_bytes(answer(pipe.recv_bytes(), geometries, told["pixels"], told["most"]))
    except (EOFError, OSError):
        return


if __name__ == "__main__":
    # Ctrl-C is for the service, which lets what waits finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(int(sys.argv[2]))
    serve(Connection(int(sys.argv[1])))
