"""The tiny bundle behind HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bundle_example import Fitted
from serve_example import running

from fusion.predict import Predictor
from fusion.serve.app import make_app
from fusion.serve.limits import Limits


@pytest.fixture(scope="session")
def predictor(tiny: Fitted) -> Predictor:
    """The tiny bundle at work."""
    return Predictor.load(tiny.bundle)


@pytest.fixture(scope="session")
def url(predictor: Predictor) -> Iterator[str]:
    """A service with small limits."""
    limits = Limits(upload_bytes=2_000_000, pixels=1_000_000, images=2, body_seconds=3)
    with running(make_app(predictor, limits, hosts={"127.0.0.1", "localhost"})) as address:
        yield address


@pytest.fixture(scope="session")
def picture(tiny: Fitted) -> bytes:
    """An image of the cohort."""
    return tiny.images_of(str(tiny.study.cohort.patients["patient_id"].iloc[0]))[0].read_bytes()
