"""`melafuse audit`: what it prints, and the exit code that gates a pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from door_example import called
from locations import ROOT
from tabular_example import write_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    patients = pd.DataFrame(
        {
            "id": [f"p{n}" for n in 1_000_000 + rng.choice(9_000_000, 80, replace=False)],
            "age": (60 + 10 * rng.normal(size=80)).round(2),
            "dose": rng.normal(size=80).round(3),
            "event": rng.permutation(np.arange(80) % 2),
        }
    )
    age = ("demographic", "diagnosis")
    clean = {"age": age, "dose": ("treatment", "diagnosis")}
    write_study(tmp_path / "clean.yaml", patients, clean)
    late = {"age": age, "dose": ("treatment", "follow_up")}
    write_study(tmp_path / "late.yaml", patients, late, use_anyway=["dose"])
    return tmp_path


def melafuse(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "cli.py", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_a_clean_study_passes_before_and_after_the_run(folder: Path) -> None:
    before = called("audit", "clean.yaml", "--quiet", cwd=folder)
    assert before.returncode == 0, before.stderr
    assert "nothing invalidates" in before.stdout
    rows = [line.split() for line in before.stdout.splitlines()]
    assert ["deny_listed", "invalidates", "clear"] in rows
    assert any(r[:3] == ["too_good", "warning", "not"] and "predictions" in r for r in rows)
    assert called("ablate", "clean.yaml", "--quiet", cwd=folder).returncode == 0
    after = called("audit", "clean.yaml", "--format", "json", "--quiet", cwd=folder)
    assert after.returncode == 0
    status = {r["check"]: r["status"] for r in json.loads(after.stdout)["results"]}
    assert status["selection_on_test"] == status["too_good"] == "clear"


@pytest.mark.slow
def test_what_invalidates_fails_the_gate(folder: Path) -> None:
    told = called("audit", "late.yaml", "--quiet", cwd=folder)
    assert told.returncode == 3
    assert "measured_after: Predictor known too late" in told.stdout
    assert "what fired invalidates the numbers" in told.stdout
    assert told.stderr == ""
    record = called("audit", "late.yaml", "--format", "json", "--quiet", cwd=folder)
    assert record.returncode == 3
    assert json.loads(record.stdout)["invalidated"] is True
    fitted = melafuse("ablate", "late.yaml", "--quiet", cwd=folder)
    assert fitted.returncode == 3
    assert fitted.stderr == ""
    assert (folder / fitted.stdout.splitlines()[-1].removeprefix("report: ")).exists()
    accept = 'audit.accept=[{"check": "measured_after", "subject": "dose", "reason": "known"}]'
    accepted = called("audit", "late.yaml", "--quiet", "--set", accept, cwd=folder)
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert "dose accepted: known" in accepted.stdout


def test_an_acceptance_of_nothing_is_one_line(folder: Path) -> None:
    accept = 'audit.accept=[{"check": "measured_afer", "subject": "dose", "reason": "known"}]'
    done = called("audit", "clean.yaml", "--quiet", "--set", accept, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no check is called 'measured_afer'" in done.stderr
