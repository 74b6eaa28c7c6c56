"""Every registered model of a binary outcome passes the suite that plug-ins pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fusion.models.grid import Forest
from fusion.models.registry import MODELS
from fusion.testing import ModelSuite
from fusion.testing.models import learns_what_is_planted

NAMES = sorted(MODELS)
COUNT_ROWS = (
    "fusion_head",
    "fusion_head_attention",
    "fusion_head_gated",
    "fusion_head_low_rank",
    "joint",
    "lightgbm",
    "random_forest",
    "stacked",
)
"""Weights balance their losses, but batches, bagging and leaf sizes count rows."""


@pytest.fixture(scope="module", autouse=True)
def _small_forests() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forest, "TREES", 40)
        yield


class TestConformance(ModelSuite):
    counts_rows = COUNT_ROWS

    @pytest.fixture(scope="class", params=NAMES)
    @classmethod
    def name(cls, request: pytest.FixtureRequest) -> str:
        return str(request.param)


@pytest.mark.parametrize(
    "name", ["lightgbm", "logistic_regression", "random_forest", "svm", "rank_average"]
)
def test_models_learn_what_is_planted(name: str) -> None:
    learns_what_is_planted(name)
