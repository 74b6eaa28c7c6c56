"""Opens one image file safely, and says in a few fixed words why one cannot be opened.

Nothing is decoded before its size is known from the header, only common raster formats are tried
(never those that run another program), and every failure is an `UnreadableImage` with a reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from featurestore.images.containers import read_member, split
from featurestore.images.dicom import is_dicom, open_dicom
from featurestore.images.duplicates import THUMBNAIL_SIDE, orientation_hashes
from featurestore.images.refusals import UnreadableImage
from featurestore.images.scans import USUAL_SCANS, has_too_many_scans
from featurestore.images.suffixes import FORMATS
from featurestore.members import MAX_MEMBER_BYTES

_EXIF_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# `max_pixels` of every call takes the place of Pillow's own limit, which is one for the process
# and would refuse files below a larger `max_pixels`.
Image.MAX_IMAGE_PIXELS = None
# TIFF may hold JPEG, whose scans its library counts itself.
os.environ.setdefault("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", str(USUAL_SCANS))


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file without keeping its pixels.

    Attributes:
        sha256: Digest of the file's bytes; empty if they cannot be read.
        width: Upright width in pixels, 0 if unreadable.
        height: Upright height in pixels, 0 if unreadable.
        bytes: Size of the file.
        orientation: EXIF orientation, 1 to 8.
        hashes: Perceptual hashes of the 8 orientations, uint64 (8,), or None.
        thumbnail: Grey thumbnail, uint8 (`THUMBNAIL_SIDE`, `THUMBNAIL_SIDE`), or None.
        reason: Why the image is unreadable, or None.
        exif: Whether the file has EXIF data.
    """

    sha256: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    orientation: int = 1
    hashes: np.ndarray | None = None
    thumbnail: np.ndarray | None = None
    reason: str | None = None
    exif: bool = False


NO_FACTS: Mapping[str, ImageFacts] = {}


def open_image(
    path: Path | io.BytesIO, max_pixels: int, draft_size: int | None = None
) -> Image.Image:
    """Opens an image upright, in RGB and fully loaded.

    EXIF orientation is applied once; transparency is laid on white; of several frames the first is
    taken; 16-bit grey is scaled to 8 bits.

    Args:
        path: The file, a path into a container, or the bytes of a file in memory.
        max_pixels: Images with more pixels are refused before anything is decoded.
        draft_size: A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (by its DCT) as long as
            its short side keeps at least this many pixels.

    Raises:
        UnreadableImage: The file cannot be used; see its reason.
    """
    source = _in_memory(path)
    if is_dicom(source):
        return _dicom(source, max_pixels)
    with _opened(source, max_pixels) as image:
        if draft_size is not None:
            image.draft(None, (draft_size, draft_size))
        image.load()
        return _upright(_as_rgb(image), _orientation(image))


def inspect_image(
    path: Path, max_pixels: int, known: Mapping[str, ImageFacts] = NO_FACTS
) -> ImageFacts:
    """Reads digest, size, orientation and perceptual hashes of an image; never raises.

    Args:
        path: The file, or a path into a container.
        max_pixels: Images with more pixels are not decoded.
        known: Facts by digest of what was inspected before, which is not decoded again.
    """
    try:
        source = _in_memory(path)
        size, sha256 = digest_file(source)
    except UnreadableImage as error:
        return ImageFacts(sha256="", reason=error.reason)
    seen = known.get(sha256)
    if seen is not None and seen.width * seen.height <= max_pixels:
        return seen
    return inspect_pixels(source, max_pixels, sha256, size)


def read_image_bytes(path: Path, max_bytes: int = MAX_MEMBER_BYTES) -> bytes:
    """Bytes of an image file, or of a member of a container.

    Raises:
        UnreadableImage: It is not there, is no regular file, is too large, or cannot be read.
    """
    inside = split(path)
    if inside is not None:
        return read_member(*inside, max_bytes)
    try:
        if not path.is_file():
            raise UnreadableImage("not a file" if path.exists() else "no such file")
        if path.stat().st_size > max_bytes:
            raise UnreadableImage(f"larger than {max_bytes:,} bytes")
        return path.read_bytes()
    except FileNotFoundError:  # it went meanwhile
        raise UnreadableImage("no such file") from None
    except PermissionError:
        raise UnreadableImage("no permission to read") from None
    except OSError:
        raise UnreadableImage("cannot be read from disk") from None


def member_sha256(image: str) -> str | None:
    """Digest of a member's content; empty where it cannot be read, None for a path into nothing."""
    inside = split(image)
    if inside is None or not inside[0].is_file():
        return None
    try:
        return digest_file(io.BytesIO(read_member(*inside)))[1]
    except UnreadableImage:
        return ""


def _in_memory(path: Path | io.BytesIO) -> Path | io.BytesIO:
    """The bytes of a member of a container; a file stays where it is."""
    inside = None if isinstance(path, io.BytesIO) else split(path)
    return path if inside is None else io.BytesIO(read_member(*inside))


def inspect_pixels(path: Path | io.BytesIO, max_pixels: int, sha256: str, size: int) -> ImageFacts:
    """The part of `inspect_image` that decodes, for a file whose digest is known."""
    if is_dicom(path):
        return _inspect_dicom(path, max_pixels, sha256, size)
    try:
        with _opened(path, max_pixels) as image:
            width, height = image.size
            image.draft("L", (4 * THUMBNAIL_SIDE, 4 * THUMBNAIL_SIDE))
            image.load()
            grey = _as_rgb(image).convert("L")
            orientation, exif = _orientation(image), _has_exif(image)
            if image.format == "TIFF" and (image.size[0] > image.size[1]) != (width > height):
                width, height = image.size  # Pillow turned it on loading
    except UnreadableImage as error:
        return ImageFacts(sha256=sha256, bytes=size, reason=error.reason)
    small = grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    thumbnail = np.asarray(_upright(small, orientation), dtype=np.uint8)
    if orientation >= 5:
        width, height = height, width
    return ImageFacts(
        sha256,
        width,
        height,
        size,
        orientation,
        orientation_hashes(thumbnail),
        thumbnail,
        exif=exif,
    )


def _inspect_dicom(path: Path | io.BytesIO, max_pixels: int, sha256: str, size: int) -> ImageFacts:
    try:
        image = _dicom(path, max_pixels)
    except UnreadableImage as error:
        return ImageFacts(sha256=sha256, bytes=size, reason=error.reason)
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    thumbnail = np.asarray(image.convert("L").resize(side, Image.Resampling.BOX), dtype=np.uint8)
    hashes = orientation_hashes(thumbnail)
    return ImageFacts(sha256, *image.size, size, hashes=hashes, thumbnail=thumbnail)


def _dicom(path: Path | io.BytesIO, max_pixels: int) -> Image.Image:
    """The picture of a DICOM file; every failure inside becomes a reason."""
    data = path.getvalue() if isinstance(path, io.BytesIO) else read_image_bytes(path)
    with _failures():
        return open_dicom(data, max_pixels)


def digest_file(path: Path | io.BytesIO) -> tuple[int, str]:
    """Size and SHA-256 of a file.

    Raises:
        UnreadableImage: It is no regular file or cannot be read.
    """
    if isinstance(path, io.BytesIO):
        data = path.getbuffer()
        return data.nbytes, hashlib.sha256(data).hexdigest()
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImage("not a file")
        with path.open("rb") as file:
            return status.st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UnreadableImage("no such file") from None
    except PermissionError:
        raise UnreadableImage("no permission to read") from None
    except OSError:
        raise UnreadableImage("cannot be read from disk") from None


@contextlib.contextmanager
def _opened(path: Path | io.BytesIO, max_pixels: int) -> Iterator[Image.Image]:
    """An image whose header is read and checked; turns every failure inside into a reason."""
    with _failures():
        if _size(path) == 0:
            raise UnreadableImage("empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata is not worth a line each
            image = Image.open(path, formats=FORMATS)
        with image:
            if image.width * image.height > max_pixels:
                raise UnreadableImage(f"larger than {max_pixels / 1e6:g} megapixels")
            if image.width < 1 or image.height < 1:
                raise UnreadableImage("no pixels")
            if isinstance(image, JpegImageFile):  # or MPO: a JPEG that is followed by others
                data = path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()
                if has_too_many_scans(data, image.width * image.height):
                    raise UnreadableImage("too many scans")
            yield image


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turns every failure inside into a reason."""
    try:
        yield
    except UnreadableImage:
        raise
    except FileNotFoundError:
        raise UnreadableImage("no such file") from None
    except PermissionError:
        raise UnreadableImage("no permission to read") from None
    except UnidentifiedImageError:
        raise UnreadableImage("not an image") from None
    except MemoryError:
        raise UnreadableImage("does not fit into memory") from None
    except Exception as error:  # decoders raise anything on damaged input
        text = str(error).lower()
        raise UnreadableImage("truncated" if "truncated" in text else "damaged") from None


def _size(path: Path | io.BytesIO) -> int:
    if isinstance(path, io.BytesIO):
        return path.getbuffer().nbytes
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("not a file")
    return status.st_size


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF says nothing about the orientation
        return 1
    return value if value in _UPRIGHT else 1


def _has_exif(image: Image.Image) -> bool:
    """Whether a camera or a program left EXIF data; the tags that every TIFF has are none."""
    try:
        exif = image.getexif()
        return bool(exif.get_ifd(_EXIF_IFD)) if image.format == "TIFF" else bool(exif)
    except Exception:  # damaged EXIF is EXIF
        return True


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image.copy()  # outlives the file
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        image = Image.fromarray(
            np.clip(deep >> 8 if deep.max() > 255 else deep, 0, 255).astype(np.uint8)
        )
    elif image.mode == "F":
        raise UnreadableImage("floating-point pixels")
    elif image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, "white")
        image.alpha_composite(layer)
    return image.convert("RGB")
