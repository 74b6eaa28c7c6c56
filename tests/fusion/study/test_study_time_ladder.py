"""A study climbs the time ladder by itself where a predictor is younger than time zero."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from time_ladder_example import late_cohort

import cli
from featurestore.errors import ConfigError
from featurestore.outcomes import TIME
from featurestore.plain import plain
from fusion.study import Study, study

COLUMNS = {
    "factor": {"source": "factor", "kind": "numeric", "measured": "diagnosis"},
    "day": {"source": "day", "kind": "numeric", "group": "specimen", "measured": "specimen"},
    "burden": {"source": "burden", "kind": "numeric", "group": "dna", "measured": "specimen"},
}
OUTCOME = {
    "name": "death",
    "kind": "time_to_event",
    "time": "days",
    "event": "died",
    "entry": "day",
    "as_of_time": "specimen",
    "time_zero": "diagnosis",
    "deny": ["day"],
}
CONFIG: dict[str, Any] = {
    "name": "late",
    "cohort": {
        "outcome": OUTCOME,
        "known_on": {"specimen": "day"},
        "sources": [
            {
                "kind": "table",
                "path": "patients.csv",
                "id": "id",
                "columns": COLUMNS,
                "labels": {"died": "died", "days": "days"},
            }
        ],
    },
    "embeddings": [
        {"name": "net", "path": "net.csv", "id": "slide", "patient": "id", "columns": ["f*"],
         "measured": "specimen"},
    ],
    "folds": {"n_folds": 2},
    "time_ladder": {"folds": 2, "repeats": 1, "components": 3, "jobs": 1},
    "ablation": {"models": ["cox_ridge"], "arms": [], "bootstrap_draws": 200, "jobs": 1,
                 "tuning": {"inner_folds": 2}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 patients, the first three without a day, the next two dead before it."""
    base = tmp_path_factory.mktemp("late")
    people = late_cohort(80).patients
    rng = np.random.default_rng(0)
    day = people["days_to_specimen"].to_numpy(copy=True)
    day[:3] = np.nan
    died, days = people["outcome"].to_numpy(copy=True), people[TIME].to_numpy()
    died[3:5], day[3:5] = 1, days[3:5] + 10
    rows = {"id": people["patient_id"], "factor": people["factor"].round(3), "day": day,
            "burden": rng.poisson(100, 80), "died": died.astype(int), "days": days}  # fmt: skip
    pd.DataFrame(rows).to_csv(base / "patients.csv", index=False)
    net = {f"f{k}": rng.normal(size=80).round(4) for k in range(4)}
    net["f0"] = net["f0"] + 3 * people["image_factor"].round(4)
    slides = {"slide": "s" + people["patient_id"], "id": people["patient_id"]}
    pd.DataFrame(slides | net).to_csv(base / "net.csv", index=False)
    (base / "late.yaml").write_text(yaml.safe_dump(CONFIG))
    return base


def test_rungs_start_at_time_zero_whatever_the_study_counts_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Study.open(folder / "late.yaml", folder / "run")
    assert opened.cohort.n_patients == 75
    ladder = opened.time_ladder()
    assert ladder is not None
    first, delayed, from_specimen, cleared, primaries = ladder.rungs
    assert (first.n, delayed.n, from_specimen.n, cleared.n) == (80, 75, 77, 75)
    assert from_specimen.at_once == 2
    assert ladder.time_zero == "diagnosis"
    assert ladder.predictors.early == ("factor",)
    assert ladder.predictors.late == ("burden",)
    assert tuple(first.concordance) == ("clinical", "specimen", "both")
    assert primaries.left_out == {"whether the specimen is a primary is not recorded": 80}
    assert primaries.why_not
    kept = pd.read_parquet(folder / "run" / "cohort" / "patients.parquet")
    assert len(kept) == 75  # the study's own cohort is not written over
    monkeypatch.setattr(study, "climb_time", None)  # it is not climbed twice
    again = Study.open(folder / "late.yaml", folder / "run").time_ladder()
    assert plain(again) == plain(ladder)


def test_the_command_prints_every_rung(folder: Path) -> None:
    call = ["ladder", "time", str(folder / "late.yaml"), "--out", str(folder / "run"), "-q"]
    shown = CliRunner().invoke(cli.cli, call)
    assert shown.exit_code == 0, shown.output
    for words in ("from time zero", "delayed entry", "gain of fusion", "not on a rung"):
        assert words in shown.output
    assert max(map(len, shown.output.split("\n")[:-2])) <= 100
    table = pd.read_csv(folder / "run" / "time_ladder.csv")
    record = json.loads(CliRunner().invoke(cli.cli, [*call, "--json"]).output)
    c = record["rungs"][0]["concordance"]["both"]["value"]
    rows = table[(table["rung"] == "from time zero") & (table["modality"] == "both")]
    assert rows["value"].item() == pytest.approx(c, abs=1e-12)
    assert table["not_climbed"].notna().sum() == 1


@pytest.mark.parametrize(
    ("command", "changes", "words"),
    [
        ("time", ["embeddings.0.measured=diagnosis", "cohort.use_anyway=[]",
                  "cohort.sources.0.columns.burden.measured=diagnosis"], "no time ladder"),
        ("linkage", [], "no linkage ladder"),
    ],
)  # fmt: skip
def test_what_cannot_be_climbed_is_one_line(
    folder: Path, command: str, changes: list[str], words: str
) -> None:
    sets = [part for change in changes for part in ("--set", change)]
    call = ["ladder", command, str(folder / "late.yaml"), "--out", str(folder / "other"), "-q"]
    found = CliRunner().invoke(cli.cli, [*call, *sets])
    assert isinstance(found.exception, ConfigError)
    assert words in str(found.exception)
    assert "\n" not in str(found.exception)
