"""Image files: found, opened safely, inspected once, and compared."""

from featurestore.images.containers import CONTAINER_SUFFIXES, place_and_name
from featurestore.images.finding import ENDINGS, ImageFolder, image_key, shown_masks
from featurestore.images.opening import inspect_image, member_sha256, open_image, read_image_bytes
from featurestore.images.refusals import UnreadableImage
from featurestore.images.suffixes import FORMATS, IMAGE_SUFFIXES

__all__ = [
    "CONTAINER_SUFFIXES",
    "ENDINGS",
    "FORMATS",
    "IMAGE_SUFFIXES",
    "ImageFolder",
    "UnreadableImage",
    "image_key",
    "inspect_image",
    "member_sha256",
    "open_image",
    "place_and_name",
    "read_image_bytes",
    "shown_masks",
]
