"""Tells drawings of where a lesion is (segmentation masks) from photographs of it.

Data sets keep masks beside photographs, often under the same names in another folder. Files of one
folder with one ending are judged together, by a few of them: a mask has two or a few grey values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from featurestore.images.containers import place_and_name
from featurestore.images.opening import open_image
from featurestore.images.refusals import UnreadableImage

_NAMED = re.compile(
    r"[_\-. ](?:superpixels?|segmentation|seg|masks?|attribute_\w+)$", re.IGNORECASE
)
"""Names that the challenges and annotation programs give to masks."""

_SAMPLE = 6
_MOST_OPENED = 400
_MAX_PIXELS = 200_000_000
_SIDE = 256
_FEW_VALUES = 8
_NEAR = 24
"""Distance from black or white that the compression of a JPEG leaves, of 255."""
_SHARE = 0.98


def find_masks(files: Iterable[Path]) -> set[Path]:
    """The masks among image files.

    Args:
        files: Paths of image files.
    """
    classes: dict[tuple[str, str], list[Path]] = {}
    masks: set[Path] = set()
    for path in sorted(files):
        if _NAMED.search(path.stem):
            masks.add(path)
            continue
        # Folders that differ in their numbers only are the cases of one data set.
        ending = re.sub(r"^.*\d", "", path.stem)
        place = re.sub(r"\d+", "9", place_and_name(path)[0])
        classes.setdefault((place, f"{ending}{path.suffix.lower()}"), []).append(path)
    n_each = max(1, min(_SAMPLE, _MOST_OPENED // max(1, len(classes))))
    opened = 0
    for members in classes.values():
        if opened >= _MOST_OPENED:
            break
        sample = _spread(members, n_each)
        opened += len(sample)
        if _are_masks(sample):
            masks.update(members)
    return masks


def is_grey(path: Path) -> bool:
    """Whether a file has no colour, as heat maps and drawings of several greys have none."""
    try:
        return _kind(np.asarray(open_image(path, _MAX_PIXELS, _SIDE))) != "photograph"
    except UnreadableImage:
        return True


def _spread(members: Sequence[Path], n: int) -> list[Path]:
    places = np.unique(np.linspace(0, len(members) - 1, n).round().astype(int))
    return [members[k] for k in places]


def _are_masks(sample: Sequence[Path]) -> bool:
    """Whether all files that can be opened are masks, or empty ones, and at least one is a mask."""
    kinds = []
    for path in sample:
        try:
            pixels = np.asarray(open_image(path, _MAX_PIXELS, _SIDE))
        except UnreadableImage:
            continue
        kinds.append(_kind(pixels))
        if kinds[-1] not in ("mask", "empty"):
            return False
    return "mask" in kinds


def _kind(pixels: np.ndarray) -> str:
    """`mask`, `empty` (one grey value), `grey` or `photograph`.

    Args:
        pixels: uint8 (height, width, 3).
    """
    steps = [max(1, side // _SIDE) for side in pixels.shape[:2]]
    thin = pixels[:: steps[0], :: steps[1]].astype(np.int16)
    if (thin.max(axis=2) - thin.min(axis=2)).max() > _NEAR // 2:
        return "photograph"
    grey = thin[:, :, 0]
    values = np.unique(grey)
    if len(values) == 1:
        return "empty"
    if len(values) <= _FEW_VALUES:
        return "mask"
    black, white = grey <= _NEAR, grey >= 255 - _NEAR
    both = black.any() and white.any()
    return "mask" if both and (black | white).mean() >= _SHARE else "grey"
