"""Bundles: a fitted system as files that can be checked byte by byte and loaded without pickle."""

from fusion.bundle.archive import Bundle, read_bundle, write_bundle
from fusion.bundle.record import BundleRecord

__all__ = ["Bundle", "BundleRecord", "read_bundle", "write_bundle"]
