"""Features from elsewhere of images whose pictures are here, too: one row has both."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from locations import ROOT

from fusion.study.study import Study

if TYPE_CHECKING:
    from bundle_example import Fitted


@pytest.mark.slow
def test_pictures_and_features_of_the_same_images(tiny: Fitted, tmp_path: Path) -> None:
    images = tiny.study.cohort.images.sort_values("image_id")
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(len(images), 3)).astype(np.float32)
    table = pd.DataFrame(matrix.astype(str), columns=["f0", "f1", "f2"])
    table.insert(0, "image_id", (images["image_id"] + ".png").to_list())
    table.iloc[1:].to_csv(tmp_path / "features.csv", index=False)  # one image has none
    config = yaml.safe_load((ROOT / "tests" / "tiny.yaml").read_text(encoding="utf-8"))
    config["embeddings"] = [{"name": "mine", "path": "features.csv", "trained_on": "none"}]
    config["ablation"]["models"] = ["fusion_head"]
    config["ablation"]["arms"] = []
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.copytree(tiny.out.parent / ".melafuse" / "store", tmp_path / "out" / "store")
    shutil.copytree(tiny.out / "scratch", tmp_path / "out" / "scratch")
    study = Study.open(tmp_path / "config.yaml", tmp_path / "out")
    evidence = study.run()
    assert study.extract().embedded == 0
    assert len(study.cohort.images) == len(study.cohort.pictures) == len(images)
    assert {a.arm for a in evidence.arms} >= {
        f"fusion_head[{name}]" for name in ("resnet18", "mine", "clinical", "expression", "all")
    }
    found = study.features(0, 0)
    first = images["image_id"].iloc[0]
    patient = images["patient_id"].iloc[0]
    others = images["patient_id"].eq(patient).to_numpy() & (images["image_id"] != first).to_numpy()
    for row, vector in zip(found.row_ids, found.embeddings["mine"], strict=True):
        place = int(np.flatnonzero(images["image_id"] == row)[0])
        if row != first:
            np.testing.assert_array_equal(vector, matrix[place])
        elif others.any():
            np.testing.assert_allclose(vector, matrix[others].mean(axis=0), rtol=1e-6)
        else:
            assert np.isnan(vector).all()
    assert study.overlays(study.ablate())  # of the pictures, as without such features
