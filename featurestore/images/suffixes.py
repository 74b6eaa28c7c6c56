"""Formats that are decoded, and the endings that their files have."""

from __future__ import annotations

from PIL import Image

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")
Image.init()  # else `formats` may name only Pillow's first five

DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = tuple(
    sorted(
        {*(e for e, form in Image.registered_extensions().items() if form in FORMATS)}
        | {*DICOM_SUFFIXES}
    )
)
"""Endings of every format that is decoded, in lower case; DICOM needs an extra."""

COMPRESSED_TAR = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
"""Endings of archives that can only be read from their beginning."""

PACKED_SUFFIXES = (".zip", ".tar", ".hdf5", *COMPRESSED_TAR)
"""Endings of what may hold images, and is named where it lies in an archive; `.h5` are features."""
