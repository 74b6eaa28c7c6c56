"""What a user of MLflow finds, asked through MLflow's own client."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from locations import ROOT

from featurestore.errors import ConfigError, DataError
from fusion.publish import PUBLISHERS, Publication

mlflow = pytest.importorskip("mlflow")
MLFLOW = PUBLISHERS["mlflow"]


@pytest.fixture(scope="module", name="uri")
def _uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/runs.db"


def runs(uri: str) -> list[Any]:
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    return list(client.search_runs([experiment.experiment_id]))


def test_a_parent_for_the_study_and_a_child_for_every_arm(
    uri: str, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(uri.removeprefix("sqlite:///")).parent)
    assert MLFLOW.publish(publication, uri) == "published"
    assert MLFLOW.publish(publication, uri) == "unchanged"
    found = runs(uri)
    (parent,) = (r for r in found if "mlflow.parentRunId" not in r.data.tags)
    children = [r for r in found if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {r.info.run_name for r in children} == {arm.arm for arm in publication.arms}
    assert parent.info.run_name == "tiny"
    assert parent.data.params["ablation.head.epochs"] == "3"
    assert parent.data.tags["melafuse.cohort_digest"] == publication.tags["cohort_digest"]
    assert parent.data.tags["melafuse.published_anyway"] == "true"
    assert "SYNTHETIC" in parent.data.tags["mlflow.note.content"]
    for arm in publication.arms:
        (run,) = (r for r in children if r.info.run_name == arm.arm)
        auroc = arm.metrics["auroc"]
        stored = [run.data.metrics[name] for name in ("auroc", "auroc_low", "auroc_high")]
        assert stored == [auroc.value, auroc.low, auroc.high]
        assert run.data.metrics["patients"] == arm.n
        assert run.data.params["model"] == arm.model
        assert "SYNTHETIC" in run.data.tags["melafuse.warning"]
    client = mlflow.MlflowClient(uri)
    listed = {f.path for f in client.list_artifacts(parent.info.run_id, "report")}
    assert {"report/report.html", "report/model_card.md", "report/metrics.csv"} <= listed
    assert parent.info.artifact_uri.startswith(Path.cwd().as_uri())


def test_what_was_there_can_be_restored(uri: str, publication: Publication) -> None:
    MLFLOW.publish(publication, uri)
    before = {r.info.run_id for r in runs(uri)}
    kept = tuple(sorted(publication.arms, key=lambda a: a.arm != publication.baseline)[:2])
    fewer = dataclasses.replace(publication, arms=kept, parameters={"seed": "4"})
    assert MLFLOW.publish(fewer, uri) == "updated"
    after = runs(uri)
    assert len(after) == 3
    assert not before & {r.info.run_id for r in after}
    client = mlflow.MlflowClient(uri)
    client.restore_run(next(iter(before)))
    other = dataclasses.replace(publication, name="it's other")
    assert MLFLOW.publish(other, uri) == "published"
    assert MLFLOW.publish(other, uri) == "unchanged"


def test_an_arm_that_is_gone_is_published_again(tmp_path: Path, publication: Publication) -> None:
    uri = f"file:{tmp_path}/store"
    MLFLOW.publish(publication, uri)
    client = mlflow.MlflowClient(uri)
    child = next(r for r in runs(uri) if "melafuse.arm" in r.data.tags)
    client.delete_run(child.info.run_id)
    assert MLFLOW.publish(publication, uri) == "updated"
    assert len(runs(uri)) == len(publication.arms) + 1


def test_errors_are_one_line(tmp_path: Path, publication: Publication) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        MLFLOW.require(f"sqlite:///{tmp_path}/absent/runs.db")
    (tmp_path / "text.db").write_text("no database, " * 100)
    with pytest.raises(DataError, match="MLflow at sqlite") as caught:
        MLFLOW.publish(publication, f"sqlite:///{tmp_path}/text.db")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="MLflow at nonsense"):
        MLFLOW.publish(publication, "nonsense://place")
    assert (ROOT / "mlruns").exists() is False
