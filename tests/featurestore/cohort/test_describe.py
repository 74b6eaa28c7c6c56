"""`melafuse cohort describe`: what is in a cohort, what is not, and why."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from locations import SHARED

import cli

ROWS = [  # invented
    ("p1", "61", "1.2", "IIA", "yes", "12"),
    ("p2", "44", "", "IA", "no", "80"),
    ("p3", "", "4.0", "IIC", "yes", "[Not Available]"),
    ("p4", "70", "0.6", "IA", "no", "66"),
    ("p5", "39", "", "IB", "no", "71"),
    ("p6", "52", "2.2", "IIB", "", "40"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    lines = [",".join(("patient", "Age", "Breslow", "Stage", "Metastasis", "Months"))]
    lines += [",".join(row) for row in ROWS]
    (tmp_path / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = {
        "name": "mine",
        "cohort": {
            "outcome": {
                "name": "metastasis",
                "column": "metastasis",
                "positive": ["yes"],
                "negative": ["no"],
                "definition": "Any metastasis on record.",
                "as_of": "diagnosis",
                "deny": ["months"],
                "caveats": ["Follow-up was short [see the protocol]."],
            },
            "sources": [
                {
                    "kind": "table",
                    "path": "patients.csv",
                    "id": "patient",
                    "columns": {
                        "age": {"source": "Age", "group": "demographic", "unit": "years"},
                        "breslow": {"source": "Breslow", "unit": "mm"},
                        "stage": {"source": "Stage", "kind": "nominal", "measured": "diagnosis"},
                        "months": {"source": "Months", "measured": "follow_up"},
                    },
                    "labels": {"metastasis": "Metastasis"},
                }
            ],
        },
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(record), encoding="utf-8")
    return path


def describe(config: Path, *options: str) -> str:
    out = str(config.parent / "out")
    done = CliRunner(env={"COLUMNS": "140"}).invoke(
        cli.cli, ["cohort", "describe", str(config), "--quiet", "--out", out, *options]
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_json_holds_counts_outcome_columns_and_exclusions(config: Path) -> None:
    found = json.loads(describe(config, "--format", "json"))
    assert found["counts"] == {
        "patients": 5,
        "events": 2,
        "patients without event": 3,
        "images": 0,
        "patients with an image": 0,
        "sites": 0,
        "left out": 1,
    }
    assert found["prevalence"] == pytest.approx(0.4)
    assert found["outcome"]["definition"] == "Any metastasis on record."
    (excluded,) = found["exclusions"]
    assert (excluded["n"], excluded["example"]) == (1, "p6")
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["months"]["use"] == "withheld: reveals the outcome"
    assert columns["age"]["use"] == "used"
    breslow = columns["breslow"]
    assert (breslow["missing"], breslow["missing_event"]) == (2, 0.0)
    assert breslow["missing_no_event"] == pytest.approx(2 / 3)
    assert found["table_one"][0]["event"] == "2"


def test_csv_is_tidy_and_holds_the_same(config: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(describe(config, "--format", "csv"))))
    values = {(r["section"], r["name"], r["item"]): r["value"] for r in rows}
    assert values["cohort", "mine", "events"] == "2"
    assert values["outcome", "metastasis", "as_of"] == "diagnosis"
    assert values["column", "months", "use"] == "withheld: reveals the outcome"
    assert values["exclusion", "patient, outcome", "metastasis is unknown"] == "1"
    assert values["table 1", "Age", "event"] == "61 [61, 61]"


def test_text_says_what_a_person_must_know(config: Path) -> None:
    text = describe(config)
    assert "mine: 5 patients, 2 events (40.0%)" in text
    assert "outcome: metastasis. Any metastasis on record." in text
    assert "caveat: Follow-up was short [see the protocol]." in text
    assert "metastasis is unknown" in text
    assert "withheld: reveals the outcome" in text
    assert "Age, years" in text
    assert "52.5 [42.8, 63.2]" in text


def test_an_insisted_column_is_said_to_be_used_anyway(config: Path) -> None:
    columns = json.loads(
        describe(config, "--format", "json", "--set", "cohort.use_anyway=[months]")
    )["columns"]
    use = {column["name"]: column["use"] for column in columns}
    assert use["months"] == "used anyway, although it reveals the outcome"


def test_reasons_are_counted_without_the_ids_in_them(tmp_path: Path) -> None:
    record = {
        "name": "tiny",
        "cohort": {
            "outcome": "synthetic_metastasis",
            "require_images": True,
            "sources": [{"kind": "synthetic", "patients": 40, "genes": 24}],
        },
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(record), encoding="utf-8")
    found = json.loads(describe(path, "--format", "json"))
    reasons = [row["reason"] for row in found["exclusions"]]
    kinds = [(row["entity"], row["stage"], row["reason"]) for row in found["exclusions"]]
    assert len(kinds) == len(set(kinds))
    assert sum(row["n"] for row in found["exclusions"]) == found["counts"]["left out"]
    assert not any("ISIC_" in reason for reason in reasons)
    text = describe(path)
    assert "expression: 24 columns" in text
    assert "caveat: SYNTHETIC DATA" in text


def test_wrong_data_is_one_error(config: Path) -> None:
    (config.parent / "patients.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    done = CliRunner().invoke(cli.cli, ["cohort", "describe", str(config), "-q"])
    assert done.exit_code != 0
    assert "no column 'patient'" in str(done.exception)


def test_the_archives_real_table(tmp_path: Path) -> None:
    if not (SHARED / "isic_archive").exists():
        pytest.skip(f"needs the real data in {SHARED}")
    record = {
        "name": "archive",
        "cohort": {
            "outcome": "melanoma",
            "sources": [
                {
                    "kind": "isic",
                    "metadata": [str(SHARED / "isic_archive" / "metadata.csv")],
                    "images": [str(SHARED / "isic2017" / "ISIC-2017_Training_Data")],
                }
            ],
        },
    }
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(record), encoding="utf-8")
    found = json.loads(describe(path, "--format", "json"))
    assert found["counts"]["images"] > 300
    assert 0 < found["prevalence"] < 1
    assert {row["entity"] for row in found["exclusions"]} >= {"image", "value"}
    assert len(found["exclusions"]) < 20
