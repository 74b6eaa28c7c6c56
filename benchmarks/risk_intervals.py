"""How often the interval of a bundle's risk holds the true risk, on simulated cohorts.

    python benchmarks/risk_intervals.py [MODEL [COHORTS [PATIENTS]]]

Two columns add up to the true log hazard ratio and a third is noise, so a Cox regression can be
right. New patients are scored as `melafuse predict` scores them.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from featurestore.outcomes import Target
from featurestore.tables import Column, DataDictionary
from fusion.arms import Arm, Modality
from fusion.bundle.fitting import REPLICATES, fit_arms
from fusion.bundle.record import (
    BundleRecord,
    CohortRecord,
    TimesModelRecord,
    TimesOutcomeRecord,
)
from fusion.config import AblationConfig
from fusion.features import FeatureTable
from fusion.metrics.survival.simulation import Design, Simulated, simulate
from fusion.predict.batch import Batch, LoadedArm
from fusion.predict.scores_times import TimesScoring

DESIGN = Design(effect=1.0, shape=1.3, scale=1500.0, censoring=1 / 3000)
HORIZONS = (365.25, 1095.75)
NEW = 40
COLUMNS = DataDictionary([Column(name, "numeric", "clinical") for name in ("a", "b", "noise")])


def table_of(cohort: Simulated, seed: int) -> FeatureTable:
    """Columns of a cohort."""
    rng, n = np.random.default_rng([seed, 1]), len(cohort.times)
    first = rng.normal(size=n)
    frame = {"a": first, "b": cohort.log_hazard_ratio - first, "noise": rng.normal(size=n)}
    ids = np.array([f"P{k:05d}" for k in range(n)], dtype=object)
    times = cohort.times
    target = Target.time_to_event(times.event, times.time, times.entry)
    return FeatureTable(ids, ids, ids, target, {}, pd.DataFrame(frame), COLUMNS)


def held(model: str, patients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each interval of new patients' risks holds the truth, and its width; (NEW, 2)."""
    table = table_of(simulate(DESIGN, patients, 2 * seed), seed)
    arm = Arm(model, model, (Modality("clinical", groups=("clinical",)),))
    (fitted,) = fit_arms(table, (arm,), AblationConfig(), seed, REPLICATES)
    outcome = TimesOutcomeRecord(
        **dict.fromkeys(("name", "definition", "unit", "as_of", "time_zero"), ""),
        caveats=(), horizons=HORIZONS, known_until=1500.0, competing=False, late_entry=False,
    )  # fmt: skip
    about = CohortRecord.model_construct(patients=patients)
    scoring = TimesScoring(BundleRecord.model_construct(outcome=outcome, cohort=about))
    record = TimesModelRecord.model_construct(arm=model)
    cuts = np.array(fitted.decided["cut_points"])
    loaded = LoadedArm(record, arm, fitted.model, cuts, fitted.replicates)
    new = simulate(DESIGN, NEW, 2 * seed + 1)
    rows = tuple(np.array([k]) for k in range(NEW))
    said = scoring.scores(loaded, Batch(table_of(new, seed + 10**6), rows))
    truth = np.stack([new.risk(h) for h in HORIZONS], axis=1)
    low, high = (np.array([[getattr(r, end) for r in s.risks] for s in said])  # type: ignore[attr-defined]
                 for end in ("low", "high"))  # fmt: skip
    return (low <= truth) & (truth <= high), high - low


def main(model: str = "cox_ridge", cohorts: str = "30", patients: str = "200") -> None:
    """Prints coverage and median width at each horizon."""
    found = [held(model, int(patients), seed) for seed in range(int(cohorts))]
    inside, width = (np.stack(part) for part in zip(*found, strict=True))
    for k, days in enumerate(HORIZONS):
        own = inside[:, :, k].mean(axis=1)
        error = own.std(ddof=1) / np.sqrt(len(own))
        sys.stdout.write(
            f"{model}, {patients} patients, {days:g} days: {own.mean():.3f} of intervals hold the "
            f"true risk (standard error over cohorts {error:.3f}); median width "
            f"{np.median(width[:, :, k]):.3f}\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
