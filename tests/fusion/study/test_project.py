"""Runs of one project: what they share, what they must not, and what a run leaves alone."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bundle_example import Fitted
from click.testing import CliRunner
from locations import ROOT
from tabular_example import write_study

import cli
from featurestore.errors import ConfigError
from featurestore.store import FeatureStore
from fusion.bundle.make import fit_bundle
from fusion.evidence.as_text import same
from fusion.evidence.listing import list_runs
from fusion.evidence.saved import command_of
from fusion.paths import ProjectPaths, RunPaths
from fusion.study.study import Study

OUTPUTS = ("predictions.parquet", "work/choices.json", "report/metrics.csv", "report/report.md")

CHILD = """
import sys
from fusion.study.study import Study
Study.open(sys.argv[1], sys.argv[2]).run()
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A study of forty patients, without images."""
    rng = np.random.default_rng(0)
    event = np.arange(40) % 2
    table = pd.DataFrame({"id": [f"p{k:02d}" for k in range(40)], "event": event})
    table["age"] = (60 + 5 * event + 9 * rng.normal(size=40)).round(3)
    table["grade"] = (event + rng.normal(size=40)).round(3)
    columns = {
        "age": ("demographic", "diagnosis"),
        "grade": ("histopathology", "diagnosis"),
    }
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "config.yaml"
    write_study(path, table, columns)
    return path


class Listener:
    """Keeps the summaries of stages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self, stage: str, total: int) -> None: ...

    def advance(self, n: int = 1, detail: str = "") -> None: ...

    def finish(self, summary: str = "") -> None:
        self.said.append(summary)

    def of(self, stage: str) -> str:
        return next((line for line in reversed(self.said) if line.startswith(stage)), "")


def opened(config: Path, out: Path, *overrides: str) -> tuple[Study, Listener]:
    listener = Listener()
    return Study.open(config, out, overrides=overrides, progress=listener), listener


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".seals.lock"
    }


def outputs(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in OUTPUTS]


def test_a_second_run_fits_what_is_new_and_gives_what_it_would_alone(
    config: Path, tmp_path: Path
) -> None:
    runs, alone = tmp_path / "runs", tmp_path / "alone"
    first, _ = opened(config, runs / "first")
    first.run()
    arm = "ablation.arms=[{model: rank_average}]"
    second, listener = opened(config, runs / "second", arm)
    second.run()
    assert listener.of("ablate") == "ablate: 2 fits, 8 reused"
    by_itself, own = opened(config, alone / "second", arm)
    by_itself.run()
    assert own.of("ablate") == "ablate: 10 fits, 0 reused"
    assert outputs(runs / "second") == outputs(alone / "second")


def test_an_unchanged_run_makes_nothing_and_a_changed_file_is_made_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "mine"
    made = opened(config, out)[0].run()
    before = contents(out)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    with monkeypatch.context() as patch:
        for what in ("study.study.run_audit", "study.study.write_report", "evidence.kept.collect"):
            patch.setattr(f"fusion.{what}", refused)
        study, listener = opened(config, out)
        again = study.run()
    assert same(again.arms, made.arms)
    assert listener.of("report: nothing changed")
    assert listener.of("export: nothing changed")
    assert contents(out) == before
    page = out / "report" / "report.html"
    page.write_text(page.read_text() + "edited")
    (out / "export" / "codebook.csv").unlink()
    study, listener = opened(config, out)
    study.run()
    assert not listener.of("report: nothing changed")
    assert not listener.of("export: nothing changed")
    assert contents(out) == before


def _another_row(config: Path) -> tuple[str, ...]:
    path = config.with_name("patients.csv")
    path.write_text(path.read_text().replace("p00,0,", "p00,1,"))
    return ()


@pytest.mark.parametrize(
    "change",
    [
        _another_row,
        lambda _: ("ablation.subgroups=[age]",),
        lambda _: ("ablation.bootstrap_draws=201",),
    ],
    ids=["data", "subgroups", "draws"],
)
def test_what_changed_is_noticed(
    config: Path, tmp_path: Path, change: Callable[[Path], tuple[str, ...]]
) -> None:
    out = tmp_path / "runs" / "mine"
    opened(config, out)[0].run()
    overrides = change(config)
    changed, listener = opened(config, out, *overrides)
    changed.run()
    assert not listener.of("report: nothing changed")
    fresh, _ = opened(config, tmp_path / "fresh" / "mine", *overrides)
    fresh.run()
    assert outputs(out) == outputs(tmp_path / "fresh" / "mine")


def test_two_runs_at_once_end_with_the_same_bytes(config: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "runs" / name for name in ("a", "b")]
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CHILD, str(config), str(out)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for out in outs
    ]
    for child in children:
        _, said = child.communicate(timeout=300)
        assert child.returncode == 0, said
    alone = tmp_path / "alone" / "c"
    opened(config, alone)[0].run()
    first, second, third = (outputs(out)[:3] for out in (*outs, alone))  # pages tell the command
    assert first == second == third
    parts = list((tmp_path / "runs" / ".melafuse" / "parts").glob("*.parquet"))
    assert len(parts) == 8


@pytest.mark.parametrize("changes", [("name=other",), ()])
def test_the_folder_of_another_study_is_refused(
    config: Path, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    out = tmp_path / "runs" / "mine"
    opened(config, out)[0].ablate()
    before = contents(out)
    if not changes:
        record = yaml.safe_load(config.read_text())
        record["cohort"]["outcome"]["name"] = "another"
        config.write_text(yaml.safe_dump(record))
    with pytest.raises(ConfigError, match="is the folder of another study") as error:
        opened(config, out, *changes)[0].ablate()
    assert "\n" not in str(error.value)
    assert contents(out) == before


def test_a_fit_leaves_the_command_of_the_report(config: Path, tmp_path: Path) -> None:
    study, _ = opened(config, tmp_path / "runs" / "mine")
    study.command = "melafuse run config.yaml"
    study.run()
    before = contents(study.paths.root)
    later, _ = opened(config, study.paths.root)
    later.command = "melafuse fit config.yaml"
    fit_bundle(later, tmp_path / "bundle", ["logistic_regression[clinical]"], 0)
    assert command_of(study.paths) == "melafuse run config.yaml"
    assert contents(study.paths.root) == before


def test_runs_are_listed_with_what_differs(config: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    opened(config, runs / "a")[0].run()
    opened(config, runs / "b")[0].run()
    opened(config, runs / "more" / "c", "seed=7")[0].run()
    (runs / "d").mkdir()
    for name in ("config.yaml", "data-root.txt"):
        shutil.copy(runs / "a" / name, runs / "d" / name)
        shutil.copy(runs / "a" / f"{name}.sha256", runs / "d" / f"{name}.sha256")
    found = list_runs(runs)
    assert [run.folder for run in found] == ["a", "b", "more/c", "d"]
    assert [run.settings for run in found] == [{}, {}, {"seed": "7"}, {}]
    assert [run.problem for run in found] == ["", "", "", "not finished"]
    assert (found[0].patients, found[0].events, found[0].metric) == (40, 20, "auroc")
    highest = list_runs(runs, "headline")
    shown = [run.estimate.value for run in highest if run.estimate is not None]
    assert shown == sorted(shown, reverse=True)
    done = CliRunner().invoke(cli.cli, ["runs", str(runs)])
    assert done.exit_code == 0, done.output
    assert "more/c differs: seed=7" in done.output
    assert "d: not finished" in done.output


def test_runs_of_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.cli, ["runs", str(tmp_path / "none")])
    assert "is no folder" in str(done.exception)
    assert CliRunner().invoke(cli.cli, ["runs", str(tmp_path)]).output.endswith("holds no run\n")


def test_collecting_keeps_what_a_run_needs(tiny: Fitted, tmp_path: Path) -> None:
    project = tmp_path / "runs"
    shutil.copytree(
        ProjectPaths.of(RunPaths(tiny.out)).store("float32"), project / ".melafuse" / "store"
    )
    shutil.copytree(tiny.out, project / "mine")
    store = FeatureStore(project / ".melafuse" / "store")
    first, second = store.encoders()
    command = ["store", "gc", str(store.root), "--keep", first.short]
    done = CliRunner().invoke(cli.cli, command)
    assert done.exit_code == 0, done.exception
    assert f"{second.short} {second.backbone}: kept for the run mine" in done.output
    assert set(FeatureStore(store.root).encoders()) == {first, second}
    (project / "mine" / "work" / "report.json").unlink()
    refused = CliRunner().invoke(cli.cli, command)
    assert "nobody knows which encoders the run" in str(refused.exception)
    shutil.rmtree(project / "mine")
    assert CliRunner().invoke(cli.cli, command).exit_code == 0
    assert FeatureStore(store.root).encoders() == [first]


class TestExport:
    def test_of_a_run_writes_an_export_and_nothing_else(self, tiny: Fitted, tmp_path: Path) -> None:
        before = contents(tiny.out)
        shared = contents(ProjectPaths.of(RunPaths(tiny.out)).shared)
        done = CliRunner().invoke(
            cli.cli,
            ["export", str(tiny.out), "--out", str(tmp_path / "x"), "--format", "csv", "-q"],
        )
        assert done.exit_code == 0, done.exception
        assert (tmp_path / "x" / "codebook.csv").exists()
        assert contents(tiny.out) == before
        assert contents(ProjectPaths.of(RunPaths(tiny.out)).shared) == shared

    def test_of_a_copy_finds_the_project_or_says_what_it_needs(
        self, tiny: Fitted, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(tiny.out, copy)
        command = ["export", str(copy), "--out", str(tmp_path / "x"), "--format", "csv", "-q"]
        done = CliRunner().invoke(cli.cli, command)
        assert done.exit_code == 0, done.exception
        shutil.rmtree(tmp_path / "x")
        empty = CliRunner().invoke(cli.cli, [*command, "--set", f"project={tmp_path}"])
        assert "lacks embeddings of the run's images" in str(empty.exception)
        assert not (tmp_path / "x").exists()
        (RunPaths(copy).project).unlink()
        lost = CliRunner().invoke(cli.cli, command)
        assert "--set project=DIR" in str(lost.exception)
