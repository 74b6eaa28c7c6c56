"""Names that mean nothing are refused before anything is embedded or fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from featurestore.errors import ConfigError
from fusion.study.study import Study

CONFIG = """
name: names
cohort:
  outcome: {name: event, column: event}
  linkage: none
  sources:
    - kind: table
      path: patients.csv
      id: id
      columns: {age: {source: age, kind: numeric, group: demographic}}
      labels: {event: event}
folds: {n_folds: 2}
ablation: {models: [logistic_regression], arms: [], bootstrap_draws: 200, jobs: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"p{k:02d}" for k in range(40)], "event": np.arange(40) % 2})
    table.assign(age=rng.normal(60, 9, size=40)).to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("ablation.reference=fusion_head[al]", "ablation.reference 'fusion_head\\[al\\]'"),
        ("ablation.subgroups=[sx]", "ablation.subgroups: no patient column 'sx'; known: age, site"),
        (
            'audit.accept=[{"check": "univariate", "subject": "age", "reason": "known"}]',
            "audit.accept: no check is called 'univariate'",
        ),
        (
            'audit.accept=[{"check": "univariate_auc", "subject": "age", "reason": " "}]',
            "univariate_auc of age needs a reason",
        ),
        ("ablation.models=[logistic]", "unknown model 'logistic'"),
    ],
)
def test_a_name_without_meaning_stops_before_the_first_fit(
    folder: Path, override: str, said: str
) -> None:
    study = Study.open(folder / "config.yaml", folder / "out", overrides=[override])
    with pytest.raises(ConfigError, match=said):
        study.ablate()
    assert not (folder / "out" / "work").exists()


def test_heads_on_a_card_that_is_not_there_stop_before_the_first_fit(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    overrides = ["ablation.models=[fusion_head]", "ablation.head={batched: true, device: cuda}"]
    study = Study.open(folder / "config.yaml", folder / "out", overrides=overrides)
    with pytest.raises(
        ConfigError, match=r"ablation\.head\.device: device 'cuda' is not available"
    ):
        study.ablate()
    assert not (folder / "out" / "work").exists()
    with pytest.raises(ConfigError, match="device: cuda needs batched: true"):
        Study.open(folder / "config.yaml", overrides=["ablation.head.device=cuda"])
