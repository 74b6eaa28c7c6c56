"""docs/python.md and docs/notebook.ipynb are executed on the tiny study in place of the demo."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from locations import ROOT

from fusion.models import own

sys.path.insert(0, str(ROOT / "docs"))
from run_notebook import NOTEBOOK, code_cells, execute

if TYPE_CHECKING:
    from bundle_example import Fitted


def in_place_of_the_demo(tiny: Fitted, folder: Path, run: str = "demo") -> None:
    """Puts the tiny study where the documents have the demonstration."""
    (folder / "configs").mkdir()
    config = (ROOT / "tests" / "tiny.yaml").read_text(encoding="utf-8")
    config = config.replace('  reference: "fusion_head[all]"\n', "")
    (folder / "configs" / "demo.yaml").write_text(config.replace("ensemble: 1", "ensemble: 2"))
    shutil.copytree(tiny.out, folder / "runs" / run)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """What the documents register is forgotten."""
    yield
    own._registered.clear()


@pytest.mark.slow
def test_the_page_runs(tiny: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    in_place_of_the_demo(tiny, tmp_path)
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


def test_the_notebook_runs(tiny: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    in_place_of_the_demo(tiny, tmp_path, "notebook")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    cells = code_cells(notebook)
    printed = ["".join(execute("".join(cell["source"]), names)) for cell in cells]
    assert {"boosted[all]", "mine"} <= {arm.arm for arm in names["evidence"].arms}
    assert "boosted[all]" in printed[2]
    assert re.search(r"^mine: \d+ ids are predicted in repeat 0, 60 are tested", printed[3])
    assert all(len(cell["source"]) < 20 for cell in cells)
    # What is shown was printed by these cells, in order, on the demonstration.
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(
        bool(cell["outputs"]) == bool(text) for cell, text in zip(cells, printed, strict=True)
    )
    shown = [name for cell in cells for out in cell["outputs"] for name in out["text"]]
    assert any(line.startswith("mine ") for line in shown)
