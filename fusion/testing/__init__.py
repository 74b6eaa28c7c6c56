"""Conformance suites for models, sources and export formats, ours and those of plug-ins.

A plug-in's author subclasses one in a pytest file, and is done when it passes:

    from fusion.testing import ModelSuite

    class TestMine(ModelSuite):
        model = "mine"

They need pytest, and `fusion.testing.exporters.ExporterSuite` needs hypothesis too. Nothing else of
melafuse imports this package.
"""

import pytest

pytest.register_assert_rewrite(
    "fusion.testing.any_model",
    "fusion.testing.models",
    "fusion.testing.survival_models",
    "fusion.testing.sources",
    "fusion.testing.exporters",
)

from fusion.testing.models import ModelSuite  # noqa: E402 - after the rewriting is asked for
from fusion.testing.sources import SourceSuite  # noqa: E402
from fusion.testing.survival_models import SurvivalModelSuite  # noqa: E402

__all__ = ["ModelSuite", "SourceSuite", "SurvivalModelSuite"]
