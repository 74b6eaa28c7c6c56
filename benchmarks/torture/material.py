"""The studies, run and bundle that trials are made on: made once, small, from a fixed seed."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from fusion.bundle.make import fit_bundle
from fusion.report import write_report
from fusion.study import Study

PICTURED = """
name: pictured
seed: 3
cohort:
  outcome: synthetic_metastasis
  require_images: true
  sources: [{kind: synthetic, patients: 40, genes: 24, image_pixels: [64, 80]}]
folds: {n_folds: 2}
extract: {backbones: [{name: test_resnet, weights: random, image_size: 64}]}
ablation:
  reference: "fusion_head[all]"
  models: [logistic_regression]
  arms: [{model: fusion_head}, {model: lightgbm, modalities: [clinical]}]
  tuning: {trials: 2, inner_folds: 2}
  head: {epochs: 2, ensemble: 1, projection: 8, hidden: [8]}
  metadata: {expression_components: 4, embedding_components: 4}
  bootstrap_draws: 200
  jobs: 1
export: {embeddings: "pca:3"}
"""

PLAIN = """
name: plain
cohort:
  outcome: {name: event, column: event, as_of_time: diagnosis}
  linkage: none
  sources:
    - kind: table
      path: patients.csv
      id: id
      columns:
        age: {source: age, kind: numeric, group: demographic, measured: diagnosis}
        grade: {source: grade, kind: numeric, group: histopathology, measured: diagnosis}
      labels: {event: event}
folds: {n_folds: 2}
ablation:
  models: [logistic_regression]
  arms: [{model: lightgbm}]
  tuning: {trials: 2, inner_folds: 2}
  bootstrap_draws: 200
  jobs: 1
"""


@dataclasses.dataclass(frozen=True)
class Material:
    """What trials copy and spoil.

    Attributes:
        root: Folder of everything.
        pictured: Finished run with images.
        bundle: A bundle of it.
    """

    root: Path
    pictured: Path
    bundle: Path

    @property
    def config(self) -> Path:
        """Configuration of the run with images."""
        return self.root / "pictured.yaml"


def make(root: Path) -> Material:
    """Makes it, or takes what is there."""
    material = Material(root, root / "run", root / "bundle")
    if material.bundle.exists():
        return material
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    material.config.write_text(PICTURED)
    inside = (f"project={material.pictured}",)  # so that a copy of the folder holds everything
    study = Study.open(material.config, material.pictured, overrides=inside)
    fit_bundle(study, material.bundle, ["fusion_head[all]", "lightgbm[clinical]"], 2)
    write_report(study.evidence(study.ablate()), study.paths.report)
    return material


def plain_study(folder: Path, n: int = 60) -> Path:
    """A table and its configuration, which is returned; no image, so that a run takes a second."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    event = np.arange(n) % 2
    pd.DataFrame(
        {
            "id": [f"p{k:02d}" for k in range(n)],
            "age": 60 + rng.normal(size=n).round(3),
            "grade": event + rng.normal(size=n).round(3),
            "event": event,
        }
    ).to_csv(folder / "patients.csv", index=False)
    (folder / "plain.yaml").write_text(PLAIN)
    return folder / "plain.yaml"
