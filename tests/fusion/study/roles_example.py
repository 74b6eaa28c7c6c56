"""Studies of two photographs a case, by role."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from click.testing import CliRunner
from collections_example import derm7pt, noise, write, write_csv

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


def study_of(tree: Callable[[Path], object], base: Path, overrides: Sequence[str] = ()) -> Study:
    """What `init` proposes for a folder as it was downloaded, made cheap."""
    (base / "download").mkdir(parents=True)
    tree(base / "download")
    config = base / "mine.yaml"
    arguments = ["init", str(base / "download"), "--out", str(config)]
    result = CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Study.open(config, base / "run", None, [*CHEAP, *overrides])


def derm7pt_study(base: Path) -> Study:
    """Derm7pt, as `init` proposes it."""
    return study_of(derm7pt, base)


def hospital(folder: Path) -> None:
    """20 patients with two lesions, each with a close-up and one or two dermoscopic images."""
    rows = []
    for lesion in range(40):
        taken = ["close-up", "dermoscopic", *(["dermoscopic"] if lesion % 3 == 0 else [])]
        for k, role in enumerate(taken):
            name = f"L{lesion:02d}-{k}"
            write(folder / "images" / f"{name}.jpg", noise(10 * lesion + k))
            who = f"P{lesion // 2:02d}"
            malignant = ("no", "yes")[lesion // 2 % 2]
            rows.append([who, f"L{lesion:02d}", name, role, 40 + lesion // 2, malignant])
    header = "patient_id,lesion_id,image_id,image_role,age,melanoma"
    write_csv(folder / "images.csv", header, rows)
