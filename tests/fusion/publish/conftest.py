"""What a finished run publishes, prepared once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from fusion.publish import Publication, Wishes, prepare

if TYPE_CHECKING:
    from bundle_example import Fitted

MOST_BYTES = 1_000_000


@pytest.fixture(scope="session")
def whole(tiny: Fitted) -> Publication:
    """The tiny study with its bundle."""
    return prepare(tiny.out, Wishes("tiny", tiny.bundle, "cc-by-4.0", anyway=True))


@pytest.fixture(scope="session")
def publication(whole: Publication) -> Publication:
    """The same without the weights of its backbones, which would be written again and again."""
    small = {name: data for name, data in whole.bundle.items() if len(data) < MOST_BYTES}
    return dataclasses.replace(whole, bundle=small)
