"""Bodies of requests: bounded while they arrive, parsed in memory, checked before any decoding.

Nothing is spooled to disk: the parser's own files stay in memory whatever their size, which the
limit of the body bounds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

from PIL import Image
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from featurestore.images.opening import FORMATS
from fusion.serve.limits import Limits
from fusion.serve.problems import Problem

# The parser logs bytes of what it cannot read.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

_DRAINED = 4  # bodies that are too large are read on to this many limits, so that clients listen


@dataclasses.dataclass(frozen=True)
class Upload:
    """A checked request.

    Attributes:
        images: Bytes of each image file.
        values: Metadata by name, as JSON gives them.
    """

    images: tuple[bytes, ...]
    values: dict[str, Any]


class _InMemory(MultiPartParser):
    """Parts stay in memory; by default those above 1 MB would go to a temporary file."""

    spool_max_size = 1 << 62


async def read_upload(request: Request, limits: Limits) -> Upload:
    """Reads the body of a request.

    Raises:
        Problem: It is no multipart form, too large, too slow, or a part is none that is known.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, "send multipart/form-data with the parts image and metadata")
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.upload_bytes:
        await drain(request, limits)
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _parse(request, limits)
    except TimeoutError:
        raise Problem(408, f"the body took longer than {limits.body_seconds:g} s") from None
    except ClientDisconnect:
        raise Problem(400, "the body ended early") from None


async def drain(request: Request, limits: Limits) -> None:
    """Reads and forgets what is left of a body, up to some limits, so that the answer is heard."""
    left = _DRAINED * limits.upload_bytes
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # the last: it was read to its end
        return


async def _parse(request: Request, limits: Limits) -> Upload:
    parser = _InMemory(
        request.headers,
        _capped(request, limits),
        max_files=limits.images + 1,
        max_fields=1,
        max_part_size=limits.metadata_bytes,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        await drain(request, limits)
        raise Problem(400, f"the form cannot be read: {error.message}") from None
    except (KeyError, ValueError, UnicodeError):  # a boundary or header that is none
        await drain(request, limits)
        raise Problem(400, "the form cannot be read: it is no multipart/form-data") from None
    try:
        images: list[bytes] = []
        metadata: str | bytes | None = None
        for name, part in form.multi_items():
            data = await part.read() if isinstance(part, UploadFile) else part
            if name == "image" and isinstance(data, bytes):
                images.append(data)
            elif name == "metadata" and metadata is None:
                metadata = data
            else:
                raise Problem(
                    422,
                    f"the part {ascii(name)[:60]} is not expected: send image (files) and one "
                    f"metadata (JSON)",
                )
    finally:
        await form.close()
    if len(images) > limits.images:
        raise Problem(413, f"{len(images)} images; at most {limits.images} are taken")
    for k, data in enumerate(images):
        check_image(data, limits.pixels, k + 1)
    return Upload(tuple(images), _values(metadata, limits))


async def _capped(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.upload_bytes:
            await drain(request, limits)
            raise _too_large(limits)
        yield chunk


def check_image(data: bytes, pixels: int, number: int) -> None:
    """Refuses by the header alone what is no image of a usual format, or has too many pixels.

    Raises:
        Problem: 415 or 413.
    """
    if not data:
        raise Problem(422, f"image {number}: empty file")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except Exception:  # decoders raise anything on damaged headers
        raise Problem(415, f"image {number}: not an image ({', '.join(FORMATS)})") from None
    if width * height > pixels:
        raise Problem(413, f"image {number}: larger than {pixels / 1e6:g} megapixels")


def _values(metadata: str | bytes | None, limits: Limits) -> dict[str, Any]:
    if metadata is None or not metadata.strip():
        return {}
    if len(metadata) > limits.metadata_bytes:
        raise Problem(413, f"metadata: larger than {limits.metadata_bytes:,} bytes")
    try:
        values = json.loads(metadata)
    except (ValueError, RecursionError):
        raise Problem(422, "metadata: no JSON") from None
    if not isinstance(values, dict):
        raise Problem(422, "metadata: a JSON object with the values of a patient is wanted")
    return values


def _too_large(limits: Limits) -> Problem:
    return Problem(413, f"the body is larger than {limits.upload_bytes / 1e6:g} MB")
