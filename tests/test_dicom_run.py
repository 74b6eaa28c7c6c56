"""A folder of DICOM files goes to a report, and no particulars of a patient come out of them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from dicom_example import PERSONAL, dataset, pixels, written

import cli

CHEAP = [
    "extract.backbones=[{name: resnet18, weights: random, image_size: 32}]",
    *("ablation.models=[logistic_regression]", "ablation.bootstrap_draws=200", "ablation.jobs=1"),
    *("ablation.reference='logistic_regression[all]'", "folds.n_folds=2", "ablation.overlays=1"),
    *("ablation.tuning.trials=1", "ablation.tuning.inner_folds=2"),
]
FEW = 3


def download(folder: Path) -> None:
    """24 pictures, the last ones without ending, and as many that cannot be used as `FEW`."""
    folder.mkdir()
    lines = ["image,diagnosis_is_melanoma,age"]
    for k in range(24):
        found = dataset(pixels(k))
        (folder / (f"P{k:03d}.dcm" if k < 20 else f"P{k:03d}")).write_bytes(written(found))
        lines.append(f"P{k:03d},{('no', 'yes')[k % 2]},{40 + 5 * (k % 7)}")
    broken = [dataset(pixels(90 + k)) for k in range(FEW)]
    broken[0].NumberOfFrames = 7
    broken[1].PixelData = broken[1].PixelData[:-50]
    broken[2].BitsAllocated = 32
    for k, found in enumerate(broken):
        (folder / f"X{k}.dcm").write_bytes(written(found))
        lines.append(f"X{k},{('no', 'yes')[k % 2]},50")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_nothing_of_a_patient_leaves_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    download(tmp_path / "dicom")
    said = []
    with caplog.at_level(logging.DEBUG):
        for command in (
            ["init", tmp_path / "dicom", "--out", tmp_path / "mine.yaml"],
            ["doctor", tmp_path / "mine.yaml"],
            ["run", tmp_path / "mine.yaml", "--out", tmp_path / "run"],
        ):
            sets = [a for s in CHEAP for a in ("--set", s)] if command[0] != "init" else []
            done = CliRunner().invoke(cli.cli, [*map(str, command), *sets])
            assert done.exit_code in (0, 1, 3), done.output
            said.append(done.output)
    said.append(caplog.text)
    images = pd.read_parquet(tmp_path / "run" / "cohort" / "images.parquet")
    assert len(images) == 24
    exclusions = pd.read_parquet(tmp_path / "run" / "cohort" / "exclusions.parquet")
    left_out = exclusions[exclusions["entity"] == "image"].set_index("id")["reason"]
    quarantine = (tmp_path / ".melafuse" / "store" / "quarantine.csv").read_text(encoding="utf-8")
    for k, reason in enumerate(["several frames", "truncated", "neither 8 nor 16 bits"]):
        assert reason in left_out[f"X{k}"]
        assert reason in quarantine
    looked_at = 0
    written = [tmp_path / "run", tmp_path / ".melafuse"]
    for path in [*(p for f in written for p in f.rglob("*")), tmp_path / "mine.yaml"]:
        if not path.is_file():
            continue
        looked_at += 1
        said.append(path.read_bytes().decode("latin-1"))
        if path.suffix == ".parquet":  # its pages are compressed
            table = pd.read_parquet(path)
            said.append(" ".join(map(str, [*table.columns, *np.ravel(table.to_numpy())])))
    assert looked_at > 50
    for text in said:
        for word in PERSONAL:
            assert word not in text
