"""A study of patient columns alone: no image is asked for, no encoder is built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tabular_example import write_study

from featurestore.errors import DataError
from fusion.study.study import Study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    event = np.arange(60) % 2
    table = pd.DataFrame(
        {
            "id": [f"p{k:02d}" for k in range(60)],
            "age": 60 + rng.normal(size=60).round(3),
            "dose": event + rng.normal(size=60).round(3),
            "grade": event + rng.normal(size=60).round(3),
            "event": event,
        }
    )
    columns = {
        "age": ("demographic", "diagnosis"),
        "dose": ("treatment", "follow_up"),
        "grade": ("histopathology", "diagnosis"),
    }
    write_study(tmp_path / "config.yaml", table, columns)
    return tmp_path


def test_a_table_alone_is_a_study(folder: Path) -> None:
    study = Study.open(folder / "config.yaml", folder / "out")
    evidence = study.run()
    assert {a.arm for a in evidence.arms} == {
        "logistic_regression[clinical]",
        "clinical_reference",
        "permuted_labels",
        "prevalence",
    }
    assert evidence.run.n_images == 0
    assert (study.paths.report / "report.html").stat().st_size > 1000
    assert not list(study.store.root.rglob("*.h5"))


def test_what_is_known_too_late_is_withheld_unless_it_is_asked_for(folder: Path) -> None:
    study = Study.open(folder / "config.yaml", folder / "out")
    assert study.cohort.dictionary["dose"].leaks
    assert list(study.features(0, 0).columns) == ["age", "grade"]
    forced = Study.open(
        folder / "config.yaml", folder / "forced", overrides=["cohort.use_anyway=[dose]"]
    )
    assert list(forced.features(0, 0).columns) == ["age", "dose", "grade"]
    assert forced.cohort.digest() != study.cohort.digest()


def test_use_anyway_must_name_a_column(folder: Path) -> None:
    study = Study.open(
        folder / "config.yaml", folder / "out", overrides=["cohort.use_anyway=[doze]"]
    )
    with pytest.raises(DataError, match=r"cohort\.use_anyway names doze; the cohort has age, dose"):
        study.extract()
