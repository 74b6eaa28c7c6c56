"""One command from nothing to a report, resumed, killed, repeated and used from Python."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from locations import ROOT

import cli
from featurestore.store.store import FeatureStore
from fusion.study.study import Study

CONFIG = ROOT / "tests" / "tiny.yaml"


R_AREA = """
suppressMessages(library(haven))
data <- read_{0}("analysis.{0}")
area <- pROC::auc(pROC::roc(as.numeric(data$outcome), as.numeric(data$lp_lr_all),
                            levels = c(0, 1), direction = "<", quiet = TRUE))
cat(sprintf("%.15f", as.numeric(area)))
"""


def command(name: str, out: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / "cli.py"), name, str(CONFIG), "--out", str(out), *more]


def run(name: str, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Beside the folder of the run, so that its report names no other place."""
    return subprocess.run(
        command(name, Path(out.name), *more),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=out.parent,
    )


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    done = run("run", out)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC DATA" in done.stdout
    assert "oracle AUROC" in done.stdout
    return out


@pytest.mark.slow
def test_everything_is_there(finished: Path) -> None:
    for name in ("report.html", "report.md", "metrics.csv", "run.json", "figures/roc.svg"):
        assert (finished / "report" / name).stat().st_size > 100, name
    predictions = pd.read_parquet(finished / "predictions.parquet")
    folds = pd.read_parquet(finished / "folds.parquet")
    tested = folds[folds["role"] == "test"]
    for _, rows in predictions.groupby("arm"):
        assert sorted(rows["patient_id"]) == sorted(tested["patient_id"])
    metrics = pd.read_csv(finished / "report" / "metrics.csv")
    assert metrics["synthetic"].all()
    assert {"permuted_labels", "prevalence", "clinical_reference"} <= set(metrics["model"])


@pytest.mark.slow
def test_planted_troubles_are_accounted_for(finished: Path) -> None:
    reasons = set(pd.read_parquet(finished / "cohort" / "exclusions.parquet")["reason"])
    assert {"truncated", "no image"} <= reasons
    quarantined = pd.read_csv(finished.parent / ".melafuse" / "store" / "quarantine.csv")
    assert "truncated" in set(quarantined["reason"])
    images = pd.read_parquet(finished / "cohort" / "images.parquet")
    clusters = images.groupby("duplicate_cluster")["patient_id"].nunique()
    assert (clusters > 1).sum() >= 2


@pytest.mark.slow
def test_the_virtual_file_has_the_shapes_of_the_backbones(finished: Path) -> None:
    images = pd.read_parquet(finished / "cohort" / "images.parquet")
    with h5py.File(finished.parent / ".melafuse" / "store" / "features.h5", "r") as file:
        assert file["resnet18/embedding"].shape == (images["sha256"].nunique(), 512)
        assert file["efficientnet_b0/embedding"].shape == (images["sha256"].nunique(), 1280)
        assert np.isfinite(file["resnet18/embedding"][:]).all()


@pytest.mark.slow
def test_exports_have_a_codebook_for_every_column(finished: Path) -> None:
    codebook = pd.read_csv(finished / "export" / "codebook.csv", keep_default_na=False)
    for path in (finished / "export").glob("*.parquet"):
        described = codebook.loc[codebook["table"] == path.stem, "name"]
        assert list(described) == list(pd.read_parquet(path).columns)
    components = pd.read_parquet(finished / "export" / "components_resnet18.parquet")
    assert set(components["fold"]) == {0, 1}
    assert set(components["role"]) == {"train", "test"}


@pytest.mark.slow
def test_a_second_run_embeds_and_fits_nothing(finished: Path) -> None:
    before = digest(finished / "predictions.parquet"), digest(finished / "report" / "report.html")
    done = run("run", finished)
    assert done.returncode == 0, done.stderr
    assert "0 images embedded" in done.stderr
    assert "ablate: 0 fits" in done.stderr
    after = digest(finished / "predictions.parquet"), digest(finished / "report" / "report.html")
    assert after == before


@pytest.mark.slow
def test_a_report_is_made_again_without_data_and_store(finished: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    unneeded = shutil.ignore_patterns("scratch", "store", "export", "parts", "tuning", "report")
    shutil.copytree(finished, alone, ignore=unneeded)
    done = report(alone, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (finished / "report" / "run.json").read_text(encoding="utf-8")
    written = [path for path in (finished / "report").rglob("*") if path.is_file()]
    assert len(written) > 20
    for path in written:
        again = alone / "report" / path.relative_to(finished / "report")
        assert again.read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_two_runs_are_compared(finished: Path, tmp_path: Path) -> None:
    done = report(finished, finished, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "These runs study the same patients, outcome and folds." in done.stdout
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 100
    table = pd.read_csv(tmp_path / "comparison.csv")
    assert set(table["run"]) == {"tiny (run) #1"}  # each arm once: all are identical
    assert set(table["also"]) == {"tiny (run) #2"}
    machine = json.loads(report(finished, finished, "--out", tmp_path, "--json").stdout)
    assert len(machine["arms"]) == len(table)


@pytest.mark.slow
def test_the_page_is_opened_on_demand_only(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    runner = CliRunner()
    assert runner.invoke(cli.cli, ["report", str(finished)]).exit_code == 0
    assert opened == []
    assert runner.invoke(cli.cli, ["report", str(finished), "--open"]).exit_code == 0
    assert opened == [(finished / "report" / "report.html").resolve().as_uri()]


@pytest.mark.slow
def test_ablate_prints_json_and_nothing_else(finished: Path) -> None:
    done = run("ablate", finished, "--json")
    assert done.returncode == 0, done.stderr
    assert {a["arm"] for a in json.loads(done.stdout)["arms"]} >= {"permuted_labels", "prevalence"}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    shutil.copytree(finished / "scratch", out / "scratch")  # the same images, nothing embedded
    rng = random.Random(0)
    kills = 0
    for _ in range(4):
        child = subprocess.Popen(
            command("run", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if any(tmp_path.glob(".melafuse/store/encoders/*")) and rng.random() < 0.4:
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert kills >= 2
    done = run("run", out)
    assert done.returncode == 0, done.stderr
    assert digest(out / "predictions.parquet") == digest(finished / "predictions.parquet")


@pytest.mark.slow
def test_a_notebook_does_it_in_ten_lines(finished: Path) -> None:
    study = Study.open(CONFIG, out=finished)
    predictions = study.ablate()
    evidence = study.evidence(predictions)
    best = max(evidence.arms, key=lambda a: a.metrics["auroc"].value)
    assert 0 <= best.metrics["auroc"].value <= 1
    store = FeatureStore(finished.parent / ".melafuse" / "store")
    resnet = next(e for e in store.encoders() if e.backbone == "resnet18")
    matrix = store.read(resnet, study.cohort.images["sha256"].tolist())
    assert matrix.shape == (len(study.cohort.images), 512)


@pytest.mark.slow
def test_a_changed_split_makes_new_folds_and_says_so(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "other"
    shutil.copytree(finished, out)
    split = ("--set", "folds.n_folds=3", "--set", f"project={finished.parent}")
    few = ("--set", "ablation.arms=[]", "--set", "ablation.reference=null")
    done = run("ablate", out, *split, *few)
    assert done.returncode == 0, done.stderr
    assert "made anew" in done.stderr
    assert pd.read_parquet(out / "predictions.parquet")["fold"].nunique() == 3


@pytest.mark.slow
def test_raw_embeddings_can_be_exported_alone(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "export")
    done = run("export", out, "--format", "parquet", "--embeddings", "raw")
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (out / "export").iterdir()}
    assert "embeddings_efficientnet_b0.parquet" in names
    assert sorted(n for n in names if n.endswith(".csv")) == ["changes.csv", "codebook.csv"]
    raw = pd.read_parquet(out / "export" / "embeddings_resnet18.parquet")
    study = Study.open(CONFIG, out=finished)
    assert raw.shape == (len(study.cohort.images), 2 + 512 + 1)
    assert set(raw.pop("watermark")) == {"SYNTHETIC"}
    images = study.cohort.images.set_index("image_id")
    store = FeatureStore(finished.parent / ".melafuse" / "store")
    resnet = next(e for e in store.encoders() if e.backbone == "resnet18")
    expected = store.read(resnet, images.loc[raw["image_id"], "sha256"].tolist())
    np.testing.assert_array_equal(raw.to_numpy()[:, 2:].astype(np.float32), expected)


@pytest.mark.slow
def test_the_folder_of_a_run_can_be_exported_for_every_program(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    arguments = [f"--format={form}" for form in ("csv", "dta", "sav", "xpt")]
    arguments += ["--embeddings", "none", "--tables", "analysis", "--tables", "folds"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "export", str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(out / "export" / "analysis.sav") in done.stdout
    if shutil.which("Rscript") is None:
        pytest.skip("R is needed to open the files")
    metrics = pd.read_csv(out / "report" / "metrics.csv")
    reported = metrics[metrics["metric"] == "auroc"].set_index("arm")["value"]
    for form in ("dta", "sav", "xpt"):
        said = subprocess.run(
            ["Rscript", "-e", R_AREA.format(form)],
            cwd=out / "export",
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stderr
        expected = reported["logistic_regression[all]"]
        assert float(said.stdout) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_a_deidentified_export_names_nobody_and_lies_apart(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    done = run("export", out, "--deidentify", "--key", str(key), "--format", "csv")
    assert done.returncode == 0, done.stderr
    cohort = pd.read_parquet(finished / "cohort" / "images.parquet")
    left_out = pd.read_parquet(finished / "cohort" / "exclusions.parquet")
    ids = {*cohort["patient_id"], *cohort["image_id"], *cohort["sha256"], *left_out["id"]}
    for path in (out / "export-deidentified").iterdir():
        words = set(re.findall(r"[\w.-]+", path.read_text(encoding="utf-8")))
        assert not words & ids, path.name
    assert (out / "export-deidentified" / "deidentification.csv").exists()


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_leaves_a_resumable_store(
    finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "interrupted"
    shutil.copytree(finished / "scratch", out / "scratch")
    child = subprocess.Popen(
        command("extract", out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(tmp_path.glob(".melafuse/store/encoders/*")):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=300)
    if child.returncode != 0:  # it may have finished before the signal came
        assert child.returncode == 130
        assert "interrupted; the same command goes on from here" in errors
        assert "Traceback" not in errors
    done = run("extract", out)
    assert done.returncode == 0, done.stderr
    assert "quarantined 2" in done.stdout


@pytest.mark.slow
def test_two_runs_of_one_seed_write_the_same_report(finished: Path, tmp_path: Path) -> None:
    done = run("run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    first, second = (
        {str(p.relative_to(folder)): digest(p) for p in folder.rglob("*.*")}
        for folder in (finished / "report", tmp_path / "run" / "report")
    )
    assert len(first) > 20
    assert first == second
