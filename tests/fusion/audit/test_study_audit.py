"""The audit of whole studies: leaks planted in the files, the configuration and the models."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
import yaml

from featurestore.errors import ConfigError, DataError
from featurestore.sealed import write_sealed_text
from fusion.audit import AuditReport
from fusion.evaluation.permutation import with_partners_outcomes
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.metrics.logits import sigmoid
from fusion.models.grid import GridModel
from fusion.models.registry import MODELS, ModelKind
from fusion.study.study import Study

N = 240
GROUPS = {
    "age": "demographic",
    "breslow": "histopathology",
    "mitoses": "histopathology",
    "marker": "laboratory",
}


def clean_rows() -> pd.DataFrame:
    """An invented table in which thickness and age tell something, and nothing tells all."""
    rng = np.random.default_rng(11)
    factor = rng.normal(size=N)
    event = rng.random(N) < 1 / (1 + np.exp(-(1.2 * factor - 0.3)))
    return pd.DataFrame(
        {
            "id": [f"p{n}" for n in 1_000_000 + rng.choice(9_000_000, N, replace=False)],
            "age": (60 + 5 * factor + 12 * rng.normal(size=N)).round(1),
            "breslow": np.exp(0.5 + 0.6 * factor + 0.4 * rng.normal(size=N)).round(2),
            "mitoses": rng.normal(size=N).round(3),
            "marker": rng.normal(size=N).round(3),
            "hospital": rng.choice(["A", "B", "C"], size=N),
            "event": event.astype(int),
        }
    )


def configuration() -> dict[str, Any]:
    return {
        "name": "audited",
        "seed": 2,
        "cohort": {
            "outcome": {"name": "event", "column": "event", "as_of_time": "diagnosis"},
            "linkage": "none",
            "sources": [
                {
                    "kind": "table",
                    "path": "patients.csv",
                    "id": "id",
                    "site": "hospital",
                    "columns": {
                        name: {
                            "source": name,
                            "kind": "numeric",
                            "group": group,
                            "measured": "diagnosis",
                        }
                        for name, group in GROUPS.items()
                    },
                    "labels": {"event": "event"},
                }
            ],
        },
        "folds": {"n_folds": 3},
        "ablation": {
            "models": ["logistic_regression"],
            "arms": [],
            "bootstrap_draws": 200,
            "jobs": 1,
            "tuning": {"inner_folds": 2},
        },
    }


@dataclasses.dataclass
class Place:
    """A folder with a table and a configuration that can be changed before it is studied."""

    folder: Path
    rows: pd.DataFrame
    config: dict[str, Any]

    @property
    def column(self) -> dict[str, Any]:
        columns: dict[str, Any] = self.config["cohort"]["sources"][0]["columns"]
        return columns

    def study(self, *overrides: str, out: str = "out") -> Study:
        self.rows.to_csv(self.folder / "patients.csv", index=False)
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return Study.open(path, self.folder / out, overrides=overrides)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, clean_rows(), configuration())


def fired(report: AuditReport) -> set[str]:
    return {r.check.name for r in report.fired if r.severity != "note"}


def status(report: AuditReport, name: str) -> str:
    return next(r.status for r in report.results if r.check.name == name)


def test_a_clean_study_raises_nothing_before_and_after(place: Place) -> None:
    before = place.study().audit()
    assert fired(before) == set()
    assert status(before, "transform_saw_test") == "not_applicable"
    assert status(before, "too_good") == "not_applicable"
    assert status(before, "univariate_auc") == "clear"
    assert not (place.folder / "out" / "work").exists()  # nothing was fitted for it
    place.study().ablate()
    after = place.study().audit()
    assert fired(after) == set()
    for name in ("transform_saw_test", "selection_on_test", "too_good", "permuted_floor"):
        assert status(after, name) == "clear"


def copied_outcome(place: Place) -> None:
    place.rows["marker"] = 7 - 2 * place.rows["event"]


def telling_marker(place: Place) -> None:
    rng = np.random.default_rng(1)
    place.rows["marker"] = 2.3 * place.rows["event"] + rng.normal(size=N)


def missing_for_events(place: Place) -> None:
    rng = np.random.default_rng(2)
    unknown = (place.rows["event"] == 1) & (rng.random(N) < 0.95)
    place.rows["marker"] = place.rows["marker"].mask(unknown)


def known_later(place: Place) -> None:
    place.column["marker"]["measured"] = "follow_up"
    place.config["cohort"]["use_anyway"] = ["marker"]


def denied(place: Place) -> None:
    place.config["cohort"]["outcome"]["deny"] = ["mark*"]
    place.config["cohort"]["use_anyway"] = ["marker"]


def hospital_of_outcome(place: Place) -> None:
    other = np.random.default_rng(3).random(N) < 0.2
    place.rows["hospital"] = np.where((place.rows["event"] == 1) ^ other, "A", "B")


def cases_first(place: Place) -> None:
    place.rows = place.rows.sort_values("event", ascending=False)


def same_person_twice(place: Place) -> None:
    """Forty rows under a second id: the ids say nothing, the values say it all."""
    again = place.rows.head(40).assign(id=[f"q{k:07d}" for k in range(40)])
    place.rows = pd.concat([place.rows, again]).sample(frac=1, random_state=0)


BEFORE: dict[str, tuple[Callable[[Place], None], set[str]]] = {
    "outcome_copy": (copied_outcome, {"univariate_auc", "joint_auc"}),
    "univariate_auc": (telling_marker, {"joint_auc"}),
    "missingness_auc": (missing_for_events, {"joint_auc"}),
    "measured_after": (known_later, set()),
    "deny_listed": (denied, set()),
    "site_association": (hospital_of_outcome, set()),
    "order_leak": (cases_first, set()),
    "clinical_row_reused": (same_person_twice, {"near_duplicates"}),
}
"""By check: the leak, and what it cannot but be at the same time."""


@pytest.mark.parametrize("name", BEFORE)
def test_a_leak_in_the_data_is_caught_before_anything_is_fitted(name: str, place: Place) -> None:
    plant, also = BEFORE[name]
    plant(place)
    report = place.study().audit()
    assert name in fired(report)
    assert fired(report) <= {name} | also


class Peeking(GridModel):
    """Encodes everyone before the folds, as a script does that scales before it splits."""

    everyone: FeatureTable

    def fit(self, table: FeatureTable, seed: int) -> Self:
        TabularEncoder(self.arm.modalities, self.settings.metadata).fit(self.everyone)
        return super().fit(table, seed)


class Knowing(GridModel):
    """Remembers the outcome of everyone it is asked about."""

    everyone: FeatureTable

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        answers = dict(zip(self.everyone.patient_ids, self.everyone.y, strict=True))
        truth = np.array([answers[patient] for patient in table.patient_ids])
        noise = np.random.default_rng(len(table)).normal(size=len(table))
        return sigmoid(2.5 * (2 * truth - 1) + noise)


class Oversampled(GridModel):
    """Learned from as many events as others, and never calibrated back."""

    everyone: FeatureTable

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        probability = np.clip(super().predict_proba(table), 1e-6, 1 - 1e-6)
        return sigmoid(np.log(probability / (1 - probability)) + 1.5)


MODEL_LEAKS: dict[str, type[GridModel]] = {
    "transform_saw_test": Peeking,
    "too_good": Knowing,
    "calibration_drift": Oversampled,
}


@pytest.mark.parametrize("name", MODEL_LEAKS)
def test_a_leak_in_a_model_is_caught_after_the_run(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = MODEL_LEAKS[name]
    study = place.study("ablation.models=[leaky]")
    monkeypatch.setitem(MODELS, "leaky", ModelKind(kind, ("metadata", "tuning")))
    monkeypatch.setattr(kind, "everyone", study.features(0, 0), raising=False)
    predictions = study.ablate()
    report = study.audit(predictions)
    assert name in fired(report)
    assert fired(report) <= {name, "calibration_drift"}
    result = next(r for r in report.results if r.check.name == name)
    assert all("leaky" in hit.subjects[0] for hit in result.hits)


def test_predictions_that_know_permuted_outcomes_are_caught(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leaks past the folds leaks exchanged outcomes, too."""

    class Memory(GridModel):
        def fit(self, table: FeatureTable, seed: int) -> Self:
            self.told = dict(seen)
            return super().fit(table, seed)

        def predict_proba(self, table: FeatureTable) -> np.ndarray:
            return sigmoid(np.array([2.0 * self.told[p] for p in table.patient_ids]) - 1)

    seen: dict[str, float] = {}

    def exchanged(table: FeatureTable, partners: Any) -> FeatureTable:
        result = with_partners_outcomes(table, partners)
        seen.update(zip(result.patient_ids, result.y, strict=True))
        return result

    monkeypatch.setattr("fusion.evaluation.fitting.with_partners_outcomes", exchanged)
    kind = ModelKind(Memory, ("metadata", "tuning"), role="floor", permuted=True)
    monkeypatch.setitem(MODELS, "permuted_labels", kind)
    report = (study := place.study()).audit(study.ablate())
    assert fired(report) == {"permuted_floor"}
    assert report.invalidated


def test_what_is_accepted_stays_visible_and_does_not_count(place: Place) -> None:
    known_later(place)
    assert place.study().audit().invalidated
    accepted = {"check": "measured_after", "subject": "marker", "reason": "it is the question"}
    place.config["audit"] = {"accept": [accepted]}
    report = place.study().audit()
    assert not report.invalidated
    result = next(r for r in report.results if r.check.name == "measured_after")
    assert result.status == "accepted"
    assert "it is the question" in result.note
    assert "marker" in result.accepted[0].text


def test_identity_cannot_be_accepted(place: Place) -> None:
    accepted = {"check": "clinical_row_reused", "subject": "p1", "reason": "never mind"}
    place.config["audit"] = {"accept": [accepted]}
    with pytest.raises(ConfigError, match="clinical_row_reused cannot be accepted"):
        place.study().audit()


def test_the_report_starts_with_it(place: Place) -> None:
    copied_outcome(place)
    study = place.study()
    evidence = study.evidence(study.ablate())
    files = study.report(evidence)
    assert evidence.findings[0].level == "invalidates"
    text = files.markdown.read_text()
    assert text.index("## Audit") < text.index("## Ablation")
    record = {r["check"]: r["status"] for r in json.loads(files.run.read_text())["audit"]}
    assert record["outcome_copy"] == "fired"
    assert record["selection_on_test"] == "clear"


def test_predictions_of_other_folds_prove_nothing(place: Place) -> None:
    place.study().ablate()
    with pytest.raises(DataError, match=r"other folds than these.*run `melafuse ablate` again"):
        place.study("folds.n_folds=4").audit()
    assert fired(place.study("folds.n_folds=4", out="elsewhere").audit()) == set()
    place.study("folds.n_folds=4").ablate()
    assert fired(place.study("folds.n_folds=4").audit()) == set()


def test_a_ledger_of_other_folds_proves_nothing(place: Place) -> None:
    study = place.study()
    study.ablate()
    path = study.paths.work / "choices.json"
    record = json.loads(path.read_text())
    record["fits"][0]["training_digest"] = "0" * 64
    write_sealed_text(path, json.dumps(record))
    with pytest.raises(DataError, match="other folds"):
        place.study().audit()
