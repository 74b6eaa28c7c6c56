"""Pictures of DICOM files: every usual way to store them, and what is refused."""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_example import PERSONAL, coded, dataset, pixels, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale, apply_windowing, convert_color_space
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from featurestore.images import ImageFolder, UnreadableImage, inspect_image, open_image
from featurestore.images import dicom as module

MOST = 10_000
COLOUR = pixels(1)
GREY = COLOUR[..., 0].copy()


def opened(data: bytes, most: int = MOST) -> np.ndarray:
    return np.asarray(open_image(io.BytesIO(data), most))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_colour_as_it_is(syntax: str) -> None:
    assert (opened(written(dataset(COLOUR), syntax)) == COLOUR).all()


def test_grey_from_black_and_from_white() -> None:
    assert (opened(written(dataset(GREY, "MONOCHROME2"))) == grey(GREY)).all()
    assert (opened(written(dataset(GREY, "MONOCHROME1"))) == grey(255 - GREY)).all()


def test_colour_in_planes_and_colour_of_16_bits() -> None:
    planes = dataset(COLOUR, PlanarConfiguration=1)
    planes.PixelData = COLOUR.transpose(2, 0, 1).tobytes()
    assert (opened(written(planes)) == COLOUR).all()
    deep = COLOUR.astype(np.uint16) * 256 + 255
    assert (opened(written(dataset(deep))) == COLOUR).all()


def test_grey_of_12_bits_covers_their_range() -> None:
    deep = (GREY.astype(np.uint16) << 4) | (GREY >> 4)
    found = opened(written(dataset(deep, "MONOCHROME2", BitsStored=12)))
    assert (found == grey(np.rint(deep / 4095 * 255).astype(np.uint8))).all()
    signed = deep.astype(np.int16) - 2048
    again = opened(written(dataset(signed, "MONOCHROME2", BitsStored=12)))
    assert (again == found).all()


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_rescale_and_window_are_those_of_the_standard(function: str) -> None:
    """Against pydicom's own, whose output covers the stored bits."""
    deep = (GREY.astype(np.uint16) << 4) + 7
    found = dataset(
        deep,
        "MONOCHROME2",
        BitsStored=12,
        RescaleSlope=2,
        RescaleIntercept=-100,
        WindowCenter=[3000.0, 1.0],
        WindowWidth=[4000.0, 2.0],
        VOILUTFunction=function,
    )
    expected = apply_windowing(apply_rescale(deep, found), found)
    low, high = -100.0, 2 * 4095 - 100.0
    share = (np.asarray(expected) - low) / (high - low)
    ours = opened(written(found))[..., 0]
    assert np.abs(ours - np.rint(np.clip(share, 0, 1) * 255)).max() <= 1


def test_ybr_is_turned() -> None:
    stored = convert_color_space(COLOUR, "RGB", "YBR_FULL")
    turned = opened(written(dataset(np.asarray(stored), "YBR_FULL"))).astype(int)
    assert np.abs(turned - COLOUR).max() <= 3


def test_palette() -> None:
    codes = (GREY // 32).astype(np.uint8)
    table = np.random.default_rng(0).integers(0, 256, (8, 3), dtype=np.uint8)
    found = dataset(codes, "PALETTE COLOR")
    for k, name in enumerate(("Red", "Green", "Blue")):
        setattr(found, f"{name}PaletteColorLookupTableDescriptor", [8, 0, 16])
        words = (table[:, k].astype("<u2") * 257).tobytes()
        setattr(found, f"{name}PaletteColorLookupTableData", words)
    assert (opened(written(found)) == table[codes]).all()


def test_coded_pictures() -> None:
    lossless = coded(COLOUR, "JPEG2000", JPEG2000Lossless, "YBR_RCT", irreversible=False)
    assert (opened(lossless) == COLOUR).all()
    baseline = opened(coded(COLOUR, "JPEG", JPEGBaseline8Bit, "YBR_FULL_422", quality=95))
    assert np.abs(baseline.astype(int) - COLOUR).max() < 30
    assert np.abs(baseline.astype(int) - COLOUR).mean() < 3
    single = opened(coded(GREY, "JPEG", JPEGBaseline8Bit, "MONOCHROME2", quality=95))
    assert np.abs(single.astype(int) - grey(GREY)).mean() < 3
    lossy = coded(COLOUR, "JPEG2000", JPEG2000, "YBR_ICT", irreversible=True)
    assert np.abs(opened(lossy).astype(int) - COLOUR).mean() < 3
    found = dataset(COLOUR)
    found.file_meta = pydicom.dataset.FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.compress(RLELossless)
    assert (opened(written(found, RLELossless)) == COLOUR).all()


WHOLE = [
    written(dataset(COLOUR)),
    written(dataset(GREY, "MONOCHROME2"), ImplicitVRLittleEndian),
    coded(COLOUR, "JPEG", JPEGBaseline8Bit, "YBR_FULL_422"),
]


def frames() -> bytes:
    found = dataset(COLOUR, NumberOfFrames=2)
    found.PixelData = COLOUR.tobytes() * 2
    return written(found)


def without_picture() -> bytes:
    found = dataset(COLOUR)
    del found.PixelData
    return written(found)


def cut() -> bytes:
    found = dataset(COLOUR)
    found.PixelData = found.PixelData[:-100]
    return written(found)


def larger_inside() -> bytes:
    """Says 24 rows, and codes a picture of many more."""
    file = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(file, "JPEG")
    found = dataset(COLOUR, "YBR_FULL_422")
    found.PixelData = encapsulate([file.getvalue()])
    found["PixelData"].is_undefined_length = True
    return written(found, JPEGBaseline8Bit)


def cut_jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "JPEG")
    found = dataset(COLOUR, "YBR_FULL_422")
    found.PixelData = encapsulate([file.getvalue()[:-200]])
    found["PixelData"].is_undefined_length = True
    return written(found, JPEGBaseline8Bit)


def bomb() -> bytes:
    """Unpacks to a thousand times what it takes."""
    head = written(dataset(COLOUR), DeflatedExplicitVRLittleEndian)
    begin = head.index(b"1.2.840.10008.1.2.1.99")
    start = 132 + 12 + int.from_bytes(head[140:144], "little")
    assert begin < start
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return head[:start] + packer.compress(bytes(80_000_000)) + packer.flush()


def nested() -> bytes:
    """Sequences in sequences, deeper than anybody needs."""
    head = written(dataset(COLOUR))
    start = 132 + 12 + int.from_bytes(head[140:144], "little")
    item = (
        bytes.fromhex("400030a7") + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    )
    return head[:start] + item * 20_000


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "frames": (frames, "a DICOM file of several frames"),
    "no picture": (without_picture, "a DICOM file without a picture"),
    "cut": (cut, "truncated"),
    "cut file": (lambda: written(dataset(COLOUR))[:-100], "truncated"),
    "cut jpeg": (cut_jpeg, "truncated"),
    "larger inside": (larger_inside, "damaged"),
    "huge": (lambda: written(dataset(COLOUR, Rows=65_535, Columns=65_535)), "larger than"),
    "no rows": (lambda: written(dataset(COLOUR, Rows=0)), "no pixels"),
    "32 bits": (
        lambda: written(dataset(GREY.astype(np.uint32), "MONOCHROME2")),
        "its pixels have neither 8 nor 16 bits",
    ),
    "jpeg-ls": (lambda: coded(GREY, "JPEG", JPEGLSLossless, "MONOCHROME2"), "its compression"),
    "jpeg lossless": (lambda: coded(GREY, "JPEG", JPEGLosslessSV1, "MONOCHROME2"), "its compress"),
    "meaning": (lambda: written(dataset(GREY, "HSV")), "its photometric interpretation"),
    "bomb": (bomb, "would unpack to more than 100 times its size"),
    "nested": (nested, "damaged"),
    "private syntax": (
        lambda: written(dataset(COLOUR)).replace(
            b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0"
        ),
        "its transfer syntax is not read",
    ),
    "nothing behind": (lambda: bytes(128) + b"DICM", "its transfer syntax is not read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_and_nothing_of_the_patient(name: str, tmp_path: Path) -> None:
    make, reason = REFUSED[name]
    (tmp_path / "a.dcm").write_bytes(make())
    with pytest.raises(UnreadableImage) as error:
        open_image(tmp_path / "a.dcm", MOST)
    assert error.value.reason.startswith(reason)
    assert "\n" not in error.value.reason
    assert not any(word in error.value.reason for word in PERSONAL)
    assert inspect_image(tmp_path / "a.dcm", MOST).reason == error.value.reason


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damage_anywhere_is_a_picture_or_a_reason(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(132, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(140, len(whole))) :]
    try:
        found = opened(bytes(whole))
    except UnreadableImage as error:
        assert not any(word in error.reason for word in PERSONAL)  # noqa: PT017
    else:
        assert found.ndim == 3


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    module._prepare.cache_clear()
    try:
        with pytest.raises(UnreadableImage, match=r"pip install 'melafuse\[dicom\]'"):
            opened(WHOLE[0])
    finally:
        monkeypatch.undo()
        module._prepare.cache_clear()


def test_they_are_found_where_image_files_are(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(WHOLE[0])
    (tmp_path / "IM000002").write_bytes(WHOLE[1])
    (tmp_path / "1.2.840.3").write_bytes(WHOLE[2])
    (tmp_path / "README").write_text("no picture\n" * 40)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("in/c.dicom", WHOLE[0])
    found = ImageFolder.scan([tmp_path])
    assert list(found.by_id()) == ["a", "c", "1.2.840.3", "IM000002"]
    assert found.refused == ()
    for path in found.files:
        facts = inspect_image(path, MOST)
        assert (facts.reason, facts.width, facts.height, facts.exif) == (None, 32, 24, False)
        assert facts.hashes is not None
