"""Studies of two photographs a case, by role."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from collections_example import derm7pt

import cli
from fusion.study.study import Study

LACKING = "case 8"
"""The case without a close-up."""

CHEAP = [
    "extract.backbones=[{name: resnet18, weights: random, image_size: 32}]",
    "ablation.modalities.derm.embeddings=[resnet18]",
    "ablation.modalities.clinic.embeddings=[resnet18]",
    "ablation.models=[fusion_head, lightgbm]",
    "ablation.arms=[{model: logistic_regression}, {model: rank_average}, {model: stacked}]",
    "ablation.head={epochs: 2, ensemble: 1, projection: 4, hidden: [4]}",
    "ablation.tuning={trials: 1, inner_folds: 3}",
    "ablation.metadata={embedding_components: 4}",
    *("ablation.bootstrap_draws=200", "ablation.jobs=1", "ablation.overlays=1", "folds.n_folds=2"),
    "export={formats: [csv], embeddings: raw}",
]


def derm7pt_study(base: Path, overrides: list[str] | None = None) -> Study:
    """What `init` proposes for Derm7pt as it was downloaded, made cheap."""
    derm7pt(base / "download")
    config = base / "mine.yaml"
    arguments = ["init", str(base / "download"), "--out", str(config)]
    result = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Study.open(config, base / "run", None, [*CHEAP, *(overrides or [])])
