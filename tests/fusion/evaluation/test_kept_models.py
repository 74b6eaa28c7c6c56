"""Fitted models beside the parts: `test_overlay_drawing` and `test_sealed_files` have the rest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fusion.evaluation.kept_models import keep_model, kept_model
from fusion.models.fusion_head import FusionHeadModel


def test_a_model_that_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    """The fit goes on: it can be fitted again, and the part says what the disk lacks."""
    folder = tmp_path / "parts"
    folder.write_text("no folder")
    model: Any = SimpleNamespace(to_state=lambda: ({}, {"values": np.arange(3.0)}))
    keep_model(model, "ab", folder)
    assert folder.read_text() == "no folder"
    assert kept_model(FusionHeadModel, "ab", folder) is None
