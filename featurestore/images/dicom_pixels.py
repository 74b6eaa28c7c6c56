"""From the stored values of a DICOM picture to red, green and blue.

Grey values go through rescale and window where the file has them (DICOM PS3.3 C.11.1 and
C.11.2.1.2), else over the whole range of their bits: a picture never depends on its own extremes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featurestore.images.refusals import UnreadableImage

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")


def as_rgb_pixels(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Red, green and blue of a picture.

    Args:
        values: As `pydicom.pixels.pixel_array` gives them, YBR turned to RGB: (rows, columns) or
            (rows, columns, 3).
        dataset: How they are meant.

    Returns:
        uint8 (rows, columns, 3).

    Raises:
        UnreadableImage: They are meant in a way that is not read.
    """
    meant = str(dataset.get("PhotometricInterpretation", ""))
    if meant in _GREY and values.ndim == 2:
        grey = _eight_bits(values, dataset)
        return np.repeat((255 - grey if meant == _GREY[0] else grey)[..., None], 3, axis=2)
    if meant == "PALETTE COLOR" and values.ndim == 2:
        from pydicom.pixels import apply_color_lut

        coloured = apply_color_lut(values, dataset)
        is_deep = coloured.dtype.itemsize > 1
        return np.asarray(coloured[..., :3] >> 8 if is_deep else coloured[..., :3]).astype(np.uint8)
    if meant in _COLOURS and values.ndim == 3 and values.shape[2] == 3:
        stored = int(dataset.BitsStored)
        deep = values.astype(np.int64) >> max(stored - 8, 0)
        return np.clip(deep, 0, 255).astype(np.uint8)
    raise UnreadableImage("its photometric interpretation is not read")


def _eight_bits(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Grey values from black to white; uint8 of the same shape."""
    signed, bits = int(dataset.get("PixelRepresentation") or 0), int(dataset.BitsStored)
    least = -(2 ** (bits - 1)) if signed else 0
    ends = np.array([least, least + 2**bits - 1], dtype=float)
    slope, intercept = (_number(dataset, n, d) for n, d in (("RescaleSlope", 1.0), _INTERCEPT))
    scaled, ends = values * slope + intercept, np.sort(ends * slope + intercept)
    width = _number(dataset, "WindowWidth", 0.0)
    if width > 0:
        share = _windowed(scaled, _number(dataset, "WindowCenter", 0.0), width, dataset)
    else:
        share = (scaled - ends[0]) / max(ends[1] - ends[0], 1e-300)
    return np.rint(np.clip(share, 0.0, 1.0) * 255).astype(np.uint8)


_INTERCEPT = ("RescaleIntercept", 0.0)


def _windowed(values: np.ndarray, centre: float, width: float, dataset: Dataset) -> np.ndarray:
    """Share of white of each value, below 0 and above 1 where it lies outside of the window."""
    function = str(dataset.get("VOILUTFunction", "LINEAR"))
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))))
    if function == "LINEAR_EXACT":
        return np.asarray((values - centre) / width + 0.5)
    if width <= 1:
        return (values > centre - 0.5).astype(float)
    return np.asarray((values - (centre - 0.5)) / (width - 1) + 0.5)


def _number(dataset: Dataset, name: str, default: float) -> float:
    """The first value of an element, or what is meant without it."""
    found = dataset.get(name)
    if found is None or found == "":
        return default
    value = float(found[0] if hasattr(found, "__len__") and not isinstance(found, str) else found)
    if not np.isfinite(value):
        raise UnreadableImage("damaged")
    return value
