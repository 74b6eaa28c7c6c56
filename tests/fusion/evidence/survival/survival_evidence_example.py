"""A cohort with times to an event of known risk, and made-up predictions of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import ENTRY, TIME
from featurestore.outcomes.base import Outcome, ValueRule
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.evaluation.predictions import predictions_table
from fusion.evidence import EncoderFacts, ReportInputs, RunFacts
from fusion.evidence.about import EVERY_FOLD
from fusion.metrics.survival import Times, checked_times, incidence_at
from fusion.metrics.survival.simulation import Design, Simulated, simulate

YEAR = 365.25
HORIZONS = (2 * YEAR, 5 * YEAR)
BASELINE = "fusion_head[image+clinical]"
# Arm, model, modalities, and the share of the true log hazard ratio that its score holds.
ARMS = (
    (BASELINE, "fusion_head", "image+clinical", 1.0),
    ("fusion_head[image]", "fusion_head", "image", 0.6),
    ("fusion_head[clinical]", "fusion_head", "clinical", 0.3),
    ("lightgbm[image+clinical]", "lightgbm", "image+clinical", 0.9),
    ("clinical_reference[clinical]", "clinical_reference", "clinical", 0.4),
    ("kaplan_meier", "kaplan_meier", "", 0.0),
    ("permuted_labels", "permuted_labels", "image+clinical", 0.0),
)


@dataclasses.dataclass(frozen=True)
class Made:
    """A cohort, who is in it, and what is true of them.

    Attributes:
        cohort: The cohort; patients in the order of the simulation.
        simulated: In years.
        times: In days, as the cohort has them.
    """

    cohort: Cohort
    simulated: Simulated
    times: Times

    def inputs(self, **changes: object) -> ReportInputs:
        """What a report is made from."""
        plain = ReportInputs(run_of(self.cohort), self.cohort, BASELINE, draws=60, seed=0)
        return dataclasses.replace(plain, **changes)


def made(design: Design | None = None, n: int = 240, seed: int = 0) -> Made:
    """Simulates a cohort; images of patients 0 and 1 are copies."""
    design = design or Design(effect=1.0, censoring=0.12)
    simulated = simulate(design, n, seed)
    time, entry = (np.ceil(YEAR * part) for part in (simulated.times.time, simulated.times.entry))
    time = np.maximum(time, entry + 1)
    times = checked_times(time, simulated.times.event, entry, codes=(0, 1, 2))
    ids = np.array([f"P{i:03d}" for i in range(n)])
    rng = np.random.default_rng(seed)
    breslow = np.exp(0.5 * simulated.log_hazard_ratio + 0.5 * rng.normal(size=n))
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "person_id": ids,
            "outcome": times.event.astype(float),
            TIME: times.time,
            ENTRY: times.entry,
            "site": np.where(np.arange(n) % 3 == 0, "S1", "S2"),
            "age": np.where(np.arange(n) % 10 == 0, np.nan, rng.normal(60, 10, n)),
            "sex": np.where(np.arange(n) % 4 == 0, "male", "female"),
            "breslow": breslow,
        }
    )
    image_ids = np.array([f"I{i:03d}" for i in range(n)])
    cluster = image_ids.copy()
    cluster[1] = cluster[0]
    images = pd.DataFrame({"image_id": image_ids, "patient_id": ids}).assign(
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
            Column("age", "numeric", "demographic", "Age", "years", measured="diagnosis"),
            Column("sex", "nominal", "demographic", "Sex", levels=("female", "male")),
            Column("breslow", "numeric", "histopathology", "Breslow thickness", "mm"),
        ]
    )
    outcome = Outcome(
        name="overall_survival",
        definition="Death of any cause, from diagnosis.",
        unit="patient",
        as_of="diagnosis",
        rule=ValueRule("died"),
        caveats=("A caveat of the outcome.",),
        as_of_time="diagnosis",
        kind="time_to_event",
        horizons=HORIZONS,
    )
    excluded = exclusions_table([("patient", "P999", "outcome", "no time of follow-up")])
    cohort = Cohort("made", outcome, images, patients, dictionary, excluded, synthetic=True)
    return Made(cohort, simulated, times)


def predictions_of(
    study: Made, repeats: int = 2, n_folds: int = 5, seed: int = 1, shift: float = 0.0
) -> pd.DataFrame:
    """Predictions of every arm.

    Args:
        study: The cohort and its truth.
        repeats: Repeats with other folds.
        n_folds: Outer folds.
        seed: Of the noise.
        shift: What is added to scores fold by fold, as models that know no level do.
    """
    rng = np.random.default_rng(seed)
    lp, times = study.simulated.log_hazard_ratio, study.times
    n, parts = len(lp), []
    common = rng.normal(size=n)
    for name, model, modalities, share in ARMS:
        for repeat in range(repeats):
            fold = np.random.default_rng(repeat).permutation(n) % n_folds
            noise = 0.8 * common + 0.3 * rng.normal(size=n)
            score = np.sqrt(share) * lp + np.sqrt(1 - share) * noise
            if model == "kaplan_meier":
                score = np.zeros(n)
            risk = risks(study, score) if model != "kaplan_meier" else one_curve(times, fold)
            group = (score > np.quantile(score, 1 / 3)) * 1 + (score > np.quantile(score, 2 / 3))
            parts.append(
                pd.DataFrame(
                    {
                        "run": "made",
                        "arm": name,
                        "model": model,
                        "modalities": modalities,
                        "design": "ablation",
                        "repeat": repeat,
                        "fold": fold,
                        "patient_id": study.cohort.patients["patient_id"].to_numpy(),
                        "event": times.event,
                        "time": times.time,
                        "entry": times.entry,
                        "score": score + shift * fold,
                        "risk_group": group if model != "kaplan_meier" else 0,
                        **{f"risk_at_{h:g}": risk[:, k] for k, h in enumerate(HORIZONS)},
                    }
                )
            )
    return predictions_table(parts, "time_to_event").sample(frac=1, random_state=seed)


def risks(study: Made, score: np.ndarray) -> np.ndarray:
    """What the true model would say of patients with this log hazard ratio. (n, horizons)."""
    alike = dataclasses.replace(study.simulated, log_hazard_ratio=score)
    return np.stack([alike.risk(days / YEAR) for days in HORIZONS], axis=1)


def one_curve(times: Times, fold: np.ndarray) -> np.ndarray:
    """Incidence of the other folds for everyone; (n, horizons)."""
    found = np.empty((len(fold), len(HORIZONS)))
    for number in np.unique(fold):
        found[fold == number] = incidence_at(times.take(fold != number), np.array(HORIZONS))
    return found


def run_of(cohort: Cohort, **changes: object) -> RunFacts:
    """What was run."""
    facts = RunFacts(
        name="made",
        command="melafuse run made.yaml",
        outcome_name=cohort.outcome.name,
        outcome_definition=cohort.outcome.definition,
        unit="patient",
        as_of="diagnosis",
        linkage="patient",
        synthetic=True,
        n_patients=cohort.n_patients,
        n_events=int((cohort.patients["outcome"] == 1).sum()),
        n_images=len(cohort.images),
        prevalence=0.0,
        seed=0,
        cohort_digest="a" * 32,
        folds_digest="b" * 32,
        encoders=(EncoderFacts("net_a", 12, "imagenet", "elsewhere", {EVERY_FOLD: "0123"}),),
        versions={"python": "3.11"},
        caveats=cohort.outcome.caveats,
        notes=("A note.",),
        facts={},
        licences=("made: CC0-1.0, 240 images",),
    )
    return dataclasses.replace(facts, **changes)
