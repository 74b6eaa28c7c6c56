"""Small tables of predictions with a known truth, and the cohort that they are of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.evaluation.predictions import predictions_table
from fusion.evidence import EncoderFacts, Evidence, ReportInputs, RunFacts, collect
from fusion.evidence.about import EVERY_FOLD
from fusion.metrics.logits import sigmoid

BASELINE = "head[image+clinical]"
# Arm, model, modalities, and how much of the truth its score holds.
ARMS = (
    (BASELINE, "head", "image+clinical", 1.5),
    ("head[image]", "head", "image", 1.0),
    ("head[clinical]", "head", "clinical", 0.2),
    ("tree[image+clinical]", "tree", "image+clinical", 1.4),
    ("tree[image]", "tree", "image", 1.4),
    ("clinical_reference[clinical]", "clinical_reference", "clinical", 0.5),
    ("prevalence", "prevalence", "", 0.0),
    ("permuted_labels", "permuted_labels", "image+clinical", 0.0),
)


def make_cohort(n: int = 200, seed: int = 0) -> Cohort:
    """Patients with two images each; images of neighbours 0/1 and 2/3 are copies."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"P{i:03d}" for i in range(n)])
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "person_id": ids,
            "outcome": (rng.random(n) < 0.35).astype(float),
            "site": "trunk",
            "age": np.where(np.arange(n) % 10 == 0, np.nan, rng.normal(60, 10, n)),
            "sex": np.where(np.arange(n) % 4 == 0, "male", "female"),
        }
    )
    owner = np.repeat(np.arange(n), 2)
    image_ids = [f"I{i:03d}" for i in range(2 * n)]
    images = pd.DataFrame({"image_id": image_ids, "patient_id": ids[owner]})
    cluster = np.array(image_ids)
    cluster[[2, 6]] = cluster[[0, 4]]
    images = images.assign(
        lesion_id=image_ids,
        path=image_ids,
        sha256=image_ids,
        width=10,
        height=10,
        duplicate_cluster=cluster,
        source="made",
        licence="CC0-1.0",
        attribution="",
    )
    dictionary = DataDictionary(
        [
            Column("age", "numeric", "demographic", "Age", "years"),
            Column("sex", "nominal", "demographic", "Sex", levels=("female", "male")),
        ]
    )
    excluded = exclusions_table(
        [
            ("image", "X1", "inspect", "truncated"),
            ("image", "X2", "inspect", "truncated"),
            ("patient", "P999", "outcome", "outcome unknown"),
        ]
    )
    return Cohort("made", OUTCOMES["melanoma"], images, patients, dictionary, excluded)


def make_predictions(cohort: Cohort, repeats: int = 2, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    patients = cohort.patients.sort_values("patient_id")
    y = patients["outcome"].to_numpy(dtype=int)
    n = len(y)
    common = rng.normal(size=n)
    parts = []
    for name, model, modalities, signal in ARMS:
        for repeat in range(repeats):
            score = signal * y + 0.8 * common + 0.4 * rng.normal(size=n) - 1
            if model == "prevalence":
                score = np.zeros(n)
            if model == "permuted_labels":
                score = rng.normal(size=n)
            fold = np.random.default_rng(repeat).permutation(n) % 5
            table = {
                "run": "made",
                "arm": name,
                "model": model,
                "modalities": modalities,
                "design": "ablation",
                "repeat": repeat,
                "fold": fold,
                "patient_id": patients["patient_id"].to_numpy(),
                "y": y,
                "score": score,
                "probability": sigmoid(score) if model != "prevalence" else 0.35,
                "threshold": 0.3 + 0.01 * fold,
            }
            parts.append(pd.DataFrame(table))
    return predictions_table(parts, "binary")


def make_run(cohort: Cohort, **changes: object) -> RunFacts:
    facts = RunFacts(
        name="made",
        command="melafuse run made.yaml",
        outcome_name="melanoma",
        outcome_definition="",
        unit="patient",
        as_of="",
        linkage="patient",
        synthetic=False,
        n_patients=cohort.n_patients,
        n_events=cohort.n_events,
        n_images=len(cohort.images),
        prevalence=cohort.prevalence,
        seed=0,
        cohort_digest="a",
        folds_digest="b",
        encoders=(
            EncoderFacts("net_a", 12, "imagenet", "elsewhere", {EVERY_FOLD: "0123"}),
            EncoderFacts("net_b", 8, "random(seed=0)", "never", {EVERY_FOLD: "4567"}),
        ),
        versions={},
        caveats=("A caveat.",),
        notes=("A note.",),
        facts={},
        licences=(),
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def make_groups(cohort: Cohort) -> dict[str, str]:
    groups = {p: p for p in cohort.patients["patient_id"]}
    return groups | {"P001": "P000", "P003": "P002"}


def gather(cohort: Cohort, predictions: pd.DataFrame, draws: int = 300, seed: int = 0) -> Evidence:
    return collect(ReportInputs(make_run(cohort), cohort, BASELINE, draws, seed), predictions)
