"""Several outcomes in one run: a study each, on the same folds and embeddings."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from isic_trees_example import ham10000

import cli
from featurestore.config import load_config
from featurestore.errors import ConfigError
from fusion.config import RunConfig
from fusion.study import Studies, Study

OUTCOMES = ["malignant", "melanoma"]
CHEAP = [
    "extract.backbones=[{name: resnet18, weights: random, image_size: 32}]",
    *("ablation.models=[logistic_regression]", "ablation.reference='logistic_regression[all]'"),
    *("ablation.bootstrap_draws=200", "ablation.jobs=1", "folds.n_folds=2", "ablation.overlays=0"),
    *("ablation.tuning.trials=1", "ablation.tuning.inner_folds=2", "export.formats=[csv]"),
    "export.embeddings=none",
]


def melafuse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.cli, [*map(str, arguments)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two outcomes; `init` wrote the configuration, and one line was uncommented."""
    base = tmp_path_factory.mktemp("several")
    (base / "ham").mkdir()
    ham10000(base / "ham")
    assert melafuse("init", base / "ham", "--out", base / "mine.yaml").exit_code == 0
    text = (base / "mine.yaml").read_text(encoding="utf-8")
    (line,) = re.findall(r"^  # (outcomes: \[.*\])$", text, re.MULTILINE)
    assert line == "outcomes: [malignant, melanoma, bcc, nevus]"
    (base / "mine.yaml").write_text(text.replace(f"# {line}", line), encoding="utf-8")
    assert load_config(RunConfig, base / "mine.yaml").studies().keys() >= {"melanoma", "malignant"}
    done = melafuse("run", *arguments(base), "-q")
    assert done.exit_code in (0, 3), done.output
    (base / "said.txt").write_text(done.output, encoding="utf-8")
    return base


def arguments(base: Path) -> list[str | Path]:
    sets = [*CHEAP, f"cohort.outcomes=[{', '.join(OUTCOMES)}]", "cohort.outcome=melanoma"]
    return [base / "mine.yaml", "--out", base / "run", *(a for s in sets for a in ("--set", s))]


@pytest.mark.slow
def test_each_outcome_has_a_folder_of_its_own(finished: Path) -> None:
    for outcome in OUTCOMES:
        folder = finished / "run" / outcome
        page = (folder / "report" / "report.html").read_text(encoding="utf-8")
        assert f"mine-{outcome}" in page
        assert (folder / "export").is_dir()
        assert not (folder.parent / ".melafuse").exists()
    assert len(list((finished / ".melafuse" / "store" / "encoders").glob("*/encoder.json"))) == 1


@pytest.mark.slow
def test_all_of_them_test_a_patient_in_the_same_fold(finished: Path) -> None:
    tested = {}
    for outcome in OUTCOMES:
        folds = pd.read_parquet(finished / "run" / outcome / "folds.parquet")
        tested[outcome] = folds[folds["role"] == "test"].set_index("patient_id")["fold"]
    whole = tested["melanoma"]
    assert {len(folds) for folds in tested.values()} == {35, 30}
    for folds in tested.values():
        assert folds.equals(whole.loc[folds.index])


@pytest.mark.slow
def test_who_has_no_known_state_is_left_out_of_that_study_only(finished: Path) -> None:
    left_out = {}
    for outcome in OUTCOMES:
        rows = pd.read_parquet(finished / "run" / outcome / "cohort" / "exclusions.parquet")
        left_out[outcome] = rows.loc[rows["entity"] == "lesion", "reason"]
    assert {outcome: len(rows) for outcome, rows in left_out.items()} == {
        **dict.fromkeys(OUTCOMES, 0),
        "malignant": 5,
    }
    assert left_out["malignant"].str.startswith("malignant is unknown").all()


@pytest.mark.slow
def test_the_page_has_the_numbers_of_the_reports(finished: Path) -> None:
    folder = finished / "run" / "comparison"
    table = pd.read_csv(folder / "outcomes.csv").set_index("outcome")
    assert list(table.index) == OUTCOMES
    assert table["shares_folds"].all()
    page = (folder / "outcomes.html").read_text(encoding="utf-8")
    said = (finished / "said.txt").read_text(encoding="utf-8")
    for outcome, row in table.iterrows():
        metrics = pd.read_csv(finished / "run" / str(outcome) / "report" / "metrics.csv")
        auroc = metrics[metrics["metric"] == "auroc"].set_index("arm")
        assert row["n"] == auroc["n"].iloc[0]
        assert row["events"] == auroc["events"].iloc[0]
        assert row["reference_arm"] == "logistic_regression[all]"
        for arm, name in ((row["reference_arm"], "reference"), (row["best_arm"], "best")):
            found = row[[name, f"{name}_low", f"{name}_high"]].astype(float).tolist()
            assert found == pytest.approx(auroc.loc[arm, ["value", "low", "high"]].tolist())
        assert auroc.loc[auroc["kind"] == "arm", "value"].max() == row["best"]
        record = json.loads(
            (finished / "run" / str(outcome) / "report" / "run.json").read_text(encoding="utf-8")
        )
        gains = {(g["fused_arm"], g["single_arm"]): g for g in record["fusion_gain"]}
        gain = gains[row["fused_arm"], row["single_arm"]]
        assert gain["delta"]["value"] == pytest.approx(row["fusion_gain"])
        assert all(row["fusion_gain"] <= g["delta"]["value"] + 1e-12 for g in gains.values())
        assert f'href="../{outcome}/report/report.html"' in page
        assert f"{outcome} (AUROC)" in said
    assert max(map(len, said.splitlines())) <= 120


@pytest.mark.slow
def test_again_nothing_is_embedded_or_fitted(finished: Path) -> None:
    page = finished / "run" / "comparison" / "outcomes.html"
    before = page.read_bytes()
    done = melafuse("run", *arguments(finished))
    assert "0 images embedded, 60 reused" in done.output
    assert "0 images embedded, 70 reused" in done.output
    assert done.output.count("ablate: 0 fits") == 2
    assert done.output.count("images inspected") == 1
    assert page.read_bytes() == before


@pytest.mark.slow
def test_a_study_is_a_run_like_any_other(finished: Path) -> None:
    own = finished / "run" / "melanoma"
    assert melafuse("audit", own, "-q").exit_code in (0, 3)
    assert "analysis.csv" in melafuse("export", own, "-q").output
    bundle = melafuse("fit", own, "-q", "--out", finished / "b.zip", "--replicates", "0")
    assert bundle.exit_code == 0, bundle.output
    refused = melafuse("fit", finished / "mine.yaml", "--out", finished / "c.zip")
    assert isinstance(refused.exception, ConfigError)
    assert "has several outcomes" in str(refused.exception)
    pages = (finished / "run" / "comparison" / "outcomes.html").read_bytes()
    assert melafuse("report", finished / "run", "--out", finished / "page").exit_code == 0
    again = (finished / "page" / "outcomes.html").read_bytes()
    assert again.count(b"<tr>") == pages.count(b"<tr>")


@pytest.mark.slow
def test_one_that_fails_stops_no_other(finished: Path, tmp_path: Path) -> None:
    """The folds of one outcome are damaged: the rest goes on, exit code 4."""
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "melanoma" / "folds.parquet").write_bytes(b"no folds")
    asked = arguments(finished)
    asked[2] = tmp_path / "run"
    done = melafuse("ablate", *asked, "-q")
    assert done.exit_code == 4
    assert "melafuse: melanoma: " in done.output
    assert "melanoma was not studied: " in done.output
    assert "malignant (AUROC)" in done.output


@pytest.mark.slow
def test_doctor_and_describe_look_at_every_outcome(finished: Path) -> None:
    seen = melafuse("doctor", *arguments(finished)).output
    for outcome, counts in {
        "melanoma": "5 with and 30 without it, 0 not known",
        "malignant": "10 with and 20 without it, 5 not known",
    }.items():
        assert f"{outcome}: 35 lesions, {counts}" in seen
        assert re.search(rf"arms +{outcome}: \d+ arms", seen)
    told = melafuse("cohort", "describe", *arguments(finished), "-q", "--format", "json").output
    assert {name: one["counts"]["lesions"] for name, one in json.loads(told).items()} == {
        **dict.fromkeys(OUTCOMES, 35),
        "malignant": 30,
    }


CONFIG = {"name": "x", "cohort": {"sources": [{"kind": "synthetic"}]}}


@pytest.mark.parametrize(
    ("cohort", "message"),
    [
        ({"outcomes": ["melanoma", "melanoma"]}, "two outcomes are called 'melanoma'"),
        ({"outcomes": ["melanoma"], "outcome": "bcc"}, "'bcc' is not among the outcomes melanoma"),
        ({"outcomes": ["melanoma", "measles"]}, "unknown outcome 'measles'"),
        (
            {
                "outcomes": ["melanoma"],
                "linkage": "label_matched",
                "label_matched": {"outcome": "m1_at_diagnosis"},
            },
            "label_matched lends rows by the label of one outcome",
        ),
        ({}, "key 'cohort.outcome' is required"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    cohort: dict[str, object], message: str, tmp_path: Path
) -> None:
    record = {**CONFIG, "cohort": {**CONFIG["cohort"], **cohort}}  # type: ignore[dict-item]
    (tmp_path / "c.yaml").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as error:
        Studies.open(tmp_path / "c.yaml")
    assert "\n" not in str(error.value)


def test_a_folder_of_a_run_is_no_outcome(tmp_path: Path) -> None:
    named = {"name": "Store", "column": "a"}
    record = {**CONFIG, "cohort": {**CONFIG["cohort"], "outcomes": [named]}}  # type: ignore[dict-item]
    (tmp_path / "c.yaml").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ConfigError, match="'Store' is a folder of the run; rename it"):
        Studies.open(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"several outcomes .Store., and this works on the study"):
        Study.open(tmp_path / "c.yaml")
