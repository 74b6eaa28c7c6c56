"""A finished study of times to an event on patient columns alone, and a bundle of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from bundle_example import Fitted

from featurestore.locks import holding
from fusion.bundle.make import fit_bundle
from fusion.metrics.survival.simulation import Design, simulate
from fusion.study.study import Study

TIMES_ARMS = ("fusion_head[all]", "cox_ridge[all]", "lightgbm_discrete[all]", "rank_average[all]")
DESIGN = Design(effect=1.0, shape=1.3, scale=1500.0, censoring=1 / 3000, rounding=30.0)
LATE = dataclasses.replace(DESIGN, competing=0.4, late=0.3)
"""Also delayed entry and a competing event."""


def times_frame(patients: int, seed: int, design: Design = DESIGN) -> pd.DataFrame:
    """One row a patient: id, three predictors, days, what ended them, and entry."""
    found = simulate(design, patients, seed)
    rng = np.random.default_rng([seed, 2])
    lp, times = found.log_hazard_ratio, found.times
    breslow = np.exp(0.6 * lp + 0.2 * rng.normal(size=patients)).round(2)
    return pd.DataFrame(
        {
            "id": [f"pt-{seed}-{k:04d}" for k in range(patients)],
            "age": (60 + 8 * lp + 8 * rng.normal(size=patients)).round(),
            "breslow": np.where(rng.random(patients) < 0.1, np.nan, breslow),
            "sex": rng.choice(["female", "male"], size=patients),
            "days": times.time.round(3),
            "relapse": (times.event == 1).astype(int),
            "death": (times.event == 2).astype(int),
            "entry": times.entry.round(3),
        }
    )


def write_times_study(path: Path, table: pd.DataFrame, **outcome: Any) -> None:
    """Writes a configuration, and its table as `patients.csv` beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path.with_name("patients.csv"), index=False)
    columns = {"age": "demographic", "sex": "demographic", "breslow": "histopathology"}
    kinds = {"sex": "nominal"}
    labels = ["days", "relapse", "death", "entry"]
    record = {
        "name": "times",
        "seed": 1,
        "cohort": {
            "outcome": {
                "name": "relapse",
                "kind": "time_to_event",
                "definition": "Days from surgery to relapse.",
                "time": "days",
                "event": "relapse",
                "time_zero": "surgery",
                "as_of": "surgery",
                "as_of_time": "diagnosis",
                "unit": "days",
                "horizons": ["1y", "3y", "15y"],
                **outcome,
            },
            "linkage": "none",
            "sources": [
                {
                    "kind": "table",
                    "path": "patients.csv",
                    "id": "id",
                    "columns": {
                        name: {
                            "source": name,
                            "kind": kinds.get(name, "numeric"),
                            "group": group,
                            "measured": "diagnosis",
                        }
                        for name, group in columns.items()
                    },
                    "labels": {name: name for name in labels},
                }
            ],
        },
        "folds": {"n_folds": 2},
        "ablation": {
            "modalities": {
                "demographic": {"groups": ["demographic"]},
                "histopathology": {"groups": ["histopathology"]},
            },
            "subsets": [["demographic", "histopathology"]],
            "models": ["fusion_head"],
            "arms": [{"model": name.partition("[")[0]} for name in TIMES_ARMS[1:]],
            "tuning": {"trials": 2, "inner_folds": 2},
            "head": {"epochs": 3, "ensemble": 2, "projection": 4, "hidden": [4]},
            "discrete_time": {"intervals": 4},
            "bootstrap_draws": 200,
            "jobs": 1,
        },
        "export": {"formats": ["csv"], "embeddings": "none"},
    }
    path.write_text(yaml.safe_dump(record))


def fitted_times(shared: Path) -> Fitted:
    """The study and its bundle in a folder that all processes of a session share."""
    shared.mkdir(parents=True, exist_ok=True)
    out, bundle, config = shared / "run", shared / "bundle", shared / "study" / "config.yaml"
    with holding(shared / "lock"):
        if not bundle.exists():
            write_times_study(config, times_frame(90, 3))
            fit_bundle(Study.open(config, out), bundle, TIMES_ARMS, replicates=3)
    return Fitted(out, bundle, Study.open(config, out))
