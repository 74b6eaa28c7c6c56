from __future__ import annotations

from pathlib import Path

import pytest
from locations import ROOT

from featurestore.config import load_config
from fusion.config import RunConfig
from fusion.paths import ProjectPaths, RunPaths, store_folder


@pytest.mark.parametrize(
    ("run", "project"),
    [("runs/mine", "runs"), ("mine", "."), ("/data/runs/mine", "/data/runs")],
)
def test_a_project_is_the_folder_that_holds_the_run(run: str, project: str) -> None:
    assert ProjectPaths.of(RunPaths(Path(run))).root == Path(project)
    assert ProjectPaths.of(RunPaths(Path(run)), Path("other")).root == Path("other")


def test_studies_of_several_outcomes_are_of_the_project_of_their_run() -> None:
    root = Path("runs/mine")
    assert ProjectPaths.of(RunPaths(root / "melanoma", shared=root)).root == Path("runs")


def test_the_working_directory_can_be_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert ProjectPaths.of(RunPaths(Path())).root == tmp_path


def test_where_the_store_of_a_run_is(tmp_path: Path) -> None:
    def folder(*overrides: str) -> Path:
        config = load_config(RunConfig, ROOT / "tests" / "tiny.yaml", overrides)
        return store_folder(config, RunPaths(tmp_path / "runs" / "mine"))

    shared = tmp_path / "runs" / ".melafuse"
    assert folder() == shared / "store"
    assert folder("extract.storage_dtype=float16") == shared / "store-float16"
    assert folder(f"project={tmp_path}") == tmp_path / ".melafuse" / "store"
    assert folder(f"store={tmp_path / 'mine'}") == tmp_path / "mine"
    own = tmp_path / "runs" / "mine" / "store"
    own.mkdir(parents=True)
    assert folder() == shared / "store"
    (own / "encoders").mkdir()
    assert folder() == own
