"""Bodies of requests: bounded while they arrive, parsed in memory, checked before any decoding.

Nothing is spooled to disk: the parser's own files stay in memory whatever their size, which the
limit of the body bounds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from featurestore.json_text import parse_json
from fusion.serve.limits import Limits
from fusion.serve.problems import Problem

# The parser logs bytes of what it cannot read.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

ROLE_MARK = ":"
"""Between `image` and a role in the name of a part, for bundles that tell roles apart."""

_DRAINED = 4  # bodies that are too large are read on to this many limits, so that clients listen


@dataclasses.dataclass(frozen=True)
class Upload:
    """A checked request.

    Attributes:
        images: Bytes of each image file.
        roles: Role of each of them; empty where its part names none.
        values: Metadata by name, as JSON gives them.
    """

    images: tuple[bytes, ...]
    roles: tuple[str, ...]
    values: dict[str, Any]


class _InMemory(MultiPartParser):
    """Parts stay in memory; by default those above 1 MB would go to a temporary file."""

    spool_max_size = 1 << 62


class Arriving:
    """Bytes of all bodies that have not ended yet.

    Attributes:
        most: Their bound.
        bytes: How many there are.
    """

    def __init__(self, limits: Limits) -> None:
        self.most = limits.waiting * limits.upload_bytes
        self.bytes = 0


async def read_upload(request: Request, limits: Limits, arriving: Arriving) -> Upload:
    """Reads the body of a request.

    Raises:
        Problem: It is no multipart form, too large, too slow, or a part is none that is known; or
            the bodies of others hold all the memory that there is for them.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, "send multipart/form-data with the parts image and metadata")
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.upload_bytes:
        await drain(request, limits)
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.body_seconds) as patience:
            return await _parse(request, limits, arriving, patience)
    except TimeoutError:
        raise Problem(
            408,
            f"the body took longer than {limits.body_seconds:g} s, or came at less than "
            f"{limits.body_rate / 1e3:g} kB a second",
        ) from None
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


async def _parse(
    request: Request, limits: Limits, arriving: Arriving, patience: asyncio.Timeout
) -> Upload:
    parser = _InMemory(
        request.headers,
        _capped(request, limits, arriving, patience),
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
        roles: list[str] = []
        metadata: str | bytes | None = None
        for name, part in form.multi_items():
            data = await part.read() if isinstance(part, UploadFile) else part
            kind, _, role = name.partition(ROLE_MARK)
            if kind == "image" and isinstance(data, bytes):
                images.append(data)
                roles.append(role)
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
        if not data:
            raise Problem(422, f"image {k + 1}: empty file")
    return Upload(tuple(images), tuple(roles), _values(metadata, limits))


async def _capped(
    request: Request, limits: Limits, arriving: Arriving, patience: asyncio.Timeout
) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    size = 0
    try:
        patience.reschedule(began + min(limits.body_start_seconds, limits.body_seconds))
        async for chunk in request.stream():
            size += len(chunk)
            arriving.bytes += len(chunk)
            if size > limits.upload_bytes or arriving.bytes > arriving.most:
                patience.reschedule(began + 2 * limits.body_seconds)  # draining has its own limit
                await drain(request, limits)
                raise _too_large(limits) if size > limits.upload_bytes else _too_many(limits)
            earned = limits.body_start_seconds + size / limits.body_rate
            patience.reschedule(began + min(earned, limits.body_seconds))
            yield chunk
    finally:
        arriving.bytes -= size


def _values(metadata: str | bytes | None, limits: Limits) -> dict[str, Any]:
    if metadata is None or not metadata.strip():
        return {}
    if len(metadata) > limits.metadata_bytes:
        raise Problem(413, f"metadata: larger than {limits.metadata_bytes:,} bytes")
    try:
        values = parse_json(metadata)
    except ValueError as error:
        raise Problem(422, f"metadata: no JSON: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise Problem(422, "metadata: a JSON object with the values of a patient is wanted")
    return values


def _too_many(limits: Limits) -> Problem:
    return Problem(
        503,
        "the bodies of other requests hold all the memory there is for them; try again later",
        {"retry-after": str(math.ceil(limits.body_start_seconds))},
    )


def _too_large(limits: Limits) -> Problem:
    return Problem(413, f"the body is larger than {limits.upload_bytes / 1e6:g} MB")
