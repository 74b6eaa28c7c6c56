"""A finished tiny study and bundles of it, made once a test session."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
from locations import ROOT

from featurestore.locks import holding
from fusion.bundle.make import fit_bundle
from fusion.paths import RunPaths
from fusion.study.study import Study

CONFIG = ROOT / "tests" / "tiny.yaml"
ARMS = ("fusion_head[all]", "logistic_regression[all]", "lightgbm[clinical]")
OVERRIDES = ("ablation.head.ensemble=2",)


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A study and its bundle.

    Attributes:
        out: Folder of the run.
        bundle: Folder of the bundle.
        study: The study, opened anew.
    """

    out: Path
    bundle: Path
    study: Study

    def images_of(self, patient: str) -> list[Path]:
        """Image files of a patient."""
        images = self.study.cohort.images
        own = images[images["patient_id"] == patient].sort_values("image_id")
        return [self.study.data_root / path for path in own["path"]]

    def values_of(self, patient: str) -> dict[str, Any]:
        """Known values of a patient, as JSON has them."""
        patients = self.study.cohort.patients.set_index("patient_id")
        row = patients.loc[patient, [c.name for c in self.study.cohort.dictionary.features()]]
        return {name: json.loads(json.dumps(value)) for name, value in row.items()
                if not pd.isna(value)}  # fmt: skip


def open_tiny(out: Path) -> Study:
    """The tiny study with an ensemble of two heads."""
    return Study.open(CONFIG, out=out, overrides=OVERRIDES)


def fitted_tiny(shared: Path) -> Fitted:
    """The tiny study and its bundle in a folder that all processes of a session share."""
    shared.mkdir(parents=True, exist_ok=True)
    out, bundle = shared / "run", shared / "bundle"
    with holding(shared / "lock"):
        if not bundle.exists():
            fit_bundle(open_tiny(out), bundle, ARMS, replicates=3)
    return Fitted(out, bundle, open_tiny(out))


def predictions_of(fitted: Fitted) -> pd.DataFrame:
    """The study's out-of-fold predictions."""
    return pd.read_parquet(RunPaths(fitted.out).predictions)
