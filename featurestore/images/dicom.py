"""Pictures in DICOM files (extra `dicom`): opened like any other, and nothing else of them is read.

A DICOM file carries names, dates of birth and numbers of patients beside its pixels. Only the
elements that say how the pixels are stored (`_TAGS`) are taken out of it, by tag: no other value is
ever held, and no reason holds a value. Sizes are known before anything is decoded, and what would
unpack to far more than it takes is refused.
"""

from __future__ import annotations

import functools
import io
import logging
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from featurestore.images.dicom_pixels import as_rgb_pixels
from featurestore.images.refusals import UnreadableImage
from featurestore.images.scans import has_too_many_scans
from featurestore.members import refuse_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

NEEDED = "DICOM needs the extra dicom: pip install 'melafuse[dicom]'"
_HEAD_BYTES = 132
_MAGIC = b"DICM"
_PALETTE = tuple(f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue"))
_TAGS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames"),
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *(f"{table}{part}" for table in _PALETTE for part in ("Descriptor", "Data")),
    "PixelData",
]
_RLE_EXPANDS = 2
"""Packed bytes may be this many times the pixels: the coding never needs more."""
_STEP = 16_000_000


def is_dicom(source: Path | io.BytesIO) -> bool:
    """Whether a file begins as a DICOM file does; False where it cannot be read."""
    if isinstance(source, io.BytesIO):
        return bytes(source.getbuffer()[_HEAD_BYTES - len(_MAGIC) : _HEAD_BYTES]) == _MAGIC
    try:
        if not source.is_file():  # to open a pipe would wait for its other end
            return False
        with source.open("rb") as file:
            return file.read(_HEAD_BYTES)[-len(_MAGIC) :] == _MAGIC
    except OSError:
        return False


def open_dicom(data: bytes, max_pixels: int) -> Image.Image:
    """The picture of a DICOM file, in RGB.

    Args:
        data: The whole file.
        max_pixels: Pictures with more pixels are refused before anything is decoded.

    Raises:
        UnreadableImage: The file holds no single picture that can be read.
        Exception: Anything that decoders raise on damaged input.
    """
    _prepare()
    dataset, syntax = _dataset(data)
    _check(dataset, max_pixels)
    _check_coded(dataset, syntax)
    from pydicom.pixels import pixel_array

    return Image.fromarray(as_rgb_pixels(pixel_array(dataset), dataset))


@functools.cache
def _prepare() -> None:
    """Silences pydicom, whose warnings may quote what a file says; once a process.

    Raises:
        UnreadableImage: It is not installed.
    """
    try:
        from pydicom import config
    except ImportError:
        raise UnreadableImage(NEEDED) from None
    config.settings.reading_validation_mode = config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom\b")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def _dataset(data: bytes) -> tuple[Dataset, UID]:
    """The elements of `_TAGS`, and how they are coded."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.tag import BaseTag, Tag
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    file = io.BytesIO(data)
    file.seek(_HEAD_BYTES)
    meta = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag.group != 2,
        specific_tags=[Tag("TransferSyntaxUID")],
    )
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise UnreadableImage("its transfer syntax is not read")
    if syntax == DeflatedExplicitVRLittleEndian:
        file = io.BytesIO(_inflated(data[file.tell() :]))
        syntax = ExplicitVRLittleEndian
    wanted: list[BaseTag | int] = [Tag(name) for name in _TAGS]
    dataset = read_dataset(
        file, syntax.is_implicit_VR, syntax.is_little_endian, specific_tags=wanted
    )
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset, syntax


def _inflated(packed: bytes) -> bytes:
    """Unpacks a deflated file; what unpacks to far more than it takes is refused on the way."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts, size, rest = [], 0, packed
    while rest and not unpacker.eof:
        part = unpacker.decompress(rest, _STEP)
        rest = unpacker.unconsumed_tail
        size += len(part)
        refusal = refuse_size(size, len(packed))
        if refusal:
            raise UnreadableImage(refusal)
        if not part and not rest:
            break
        parts.append(part)
    if not unpacker.eof:
        raise UnreadableImage("truncated")
    return b"".join(parts)


def _check(dataset: Dataset, max_pixels: int) -> None:
    """Refuses what holds no single picture of a kind that is read, before it is decoded."""
    if "PixelData" not in dataset:
        raise UnreadableImage("a DICOM file without a picture")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise UnreadableImage("a DICOM file of several frames")
    rows, columns = (int(dataset.get(name) or 0) for name in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise UnreadableImage("no pixels")
    if rows * columns > max_pixels:
        raise UnreadableImage(f"larger than {max_pixels / 1e6:g} megapixels")
    allocated, stored = (int(dataset.get(n) or 0) for n in ("BitsAllocated", "BitsStored"))
    if allocated not in (8, 16) or not 0 < stored <= allocated:
        raise UnreadableImage("its pixels have neither 8 nor 16 bits")


def _check_coded(dataset: Dataset, syntax: UID) -> None:
    """Refuses pixels that are cut short, or that code something larger than is said."""
    from pydicom.encaps import get_frame
    from pydicom.pixels.utils import get_expected_length
    from pydicom.uid import (
        JPEG2000TransferSyntaxes,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        RLELossless,
    )

    expected = get_expected_length(dataset)
    if not syntax.is_encapsulated:
        if len(dataset.PixelData) < expected:
            raise UnreadableImage("truncated")
        return
    if syntax == RLELossless:
        if len(dataset.PixelData) > _RLE_EXPANDS * expected + _STEP:
            raise UnreadableImage("damaged")
        return
    if syntax not in (JPEGBaseline8Bit, JPEGExtended12Bit, *JPEG2000TransferSyntaxes):
        raise UnreadableImage("its compression is not read (JPEG and JPEG 2000 are, and RLE)")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    with Image.open(io.BytesIO(frame), formats=("JPEG", "JPEG2000")) as image:
        if image.size != (dataset.Columns, dataset.Rows):
            raise UnreadableImage("damaged")
        if image.format == "JPEG" and has_too_many_scans(frame, image.width * image.height):
            raise UnreadableImage("too many scans")
