"""Image files: found, opened safely, inspected once, and compared."""

from featurestore.images.finding import ENDINGS, IMAGE_SUFFIXES, ImageFolder, image_key, shown_masks
from featurestore.images.opening import FORMATS, UnreadableImage, inspect_image, open_image

__all__ = [
    "ENDINGS",
    "FORMATS",
    "IMAGE_SUFFIXES",
    "ImageFolder",
    "UnreadableImage",
    "image_key",
    "inspect_image",
    "open_image",
    "shown_masks",
]
