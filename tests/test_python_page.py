"""docs/python.md is executed, block after block, on the tiny study in place of the demo."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from locations import ROOT

if TYPE_CHECKING:
    from bundle_example import Fitted


@pytest.mark.slow
def test_the_page_runs(tiny: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    (tmp_path / "configs").mkdir()
    config = (ROOT / "tests" / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "configs" / "demo.yaml").write_text(config.replace("ensemble: 1", "ensemble: 2"))
    shutil.copytree(tiny.out, tmp_path / "runs" / "demo")
    patient = str(tiny.study.cohort.patients["patient_id"].iloc[0])
    shutil.copy(tiny.images_of(patient)[0], tmp_path / "lesion.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block.replace("mine.zip", str(tiny.bundle)), names)
    order = {digest: k for k, digest in enumerate(names["digests"])}
    rows = [order[digest] for digest in names["images"]["sha256"]]
    assert set(names["ids"]) <= set(names["images"]["image_id"])
    np.testing.assert_array_equal(names["embeddings"][rows], names["matrix"])
