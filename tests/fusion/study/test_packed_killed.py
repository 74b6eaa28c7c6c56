"""A run that is killed while it embeds images out of archives ends with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from locations import ROOT
from tree_files_example import noise

from featurestore.store import FeatureStore
from fusion.study import Study

N = 42
CHILD = """
import os, signal, sys
from featurestore.store.writer import ShardWriter
from fusion.study import Study

begin, commit, done = ShardWriter.__init__, ShardWriter._commit_first, []

def small(self, folder, identity, shard_rows, dtype):
    begin(self, folder, identity, 7, dtype)

def committed(self, n):
    commit(self, n)
    done.append(n)
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

ShardWriter.__init__, ShardWriter._commit_first = small, committed
Study.open(sys.argv[1], sys.argv[2]).run()
"""


def write_packed(folder: Path, packed: bool) -> Path:
    """A third of the images each in a zip, a tar and an HDF5 file; or all of them as files."""
    folder.mkdir()
    pictures = {f"im{k:02d}": noise(k, side=24) for k in range(N)}
    names = sorted(pictures)
    if packed:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names[::3]:
                archive.writestr(f"{name}.jpg", pictures[name])
        with tarfile.open(folder / "b.tar", "w") as tar:
            for name in names[1::3]:
                (folder / f"{name}.jpg").write_bytes(pictures[name])
                tar.add(folder / f"{name}.jpg", f"{name}.jpg")
                (folder / f"{name}.jpg").unlink()
        with h5py.File(folder / "c.hdf5", "w") as file:
            for name in names[2::3]:
                file.create_dataset(name, data=np.bytes_(pictures[name]))
    else:
        for name in names:
            (folder / f"{name}.jpg").write_bytes(pictures[name])
    rows = pd.DataFrame({"image": names, "event": [k % 2 for k in range(N)], "age": range(N)})
    rows.to_csv(folder / "t.csv", index=False)
    source = {
        **{"kind": "table", "path": "t.csv", "id": "image", "labels": {"event": "event"}},
        "images": {"image_id": "image", "folders": ["."]},
        "columns": {"age": {"source": "age", "kind": "numeric", "group": "demographic"}},
    }
    config = {
        "name": "packed",
        "cohort": {"outcome": {"name": "event", "column": "event"}, "sources": [source]},
        "folds": {"n_folds": 2},
        "extract": {"backbones": [{"name": "resnet18", "weights": "random", "image_size": 32}]},
        "ablation": {
            **{"models": ["logistic_regression"], "arms": [], "bootstrap_draws": 200, "jobs": 1},
            **{"overlays": 0, "tuning": {"trials": 1, "inner_folds": 2}},
            "reference": "logistic_regression[all]",
        },
        "export": {"formats": ["csv"]},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "c.yaml"


def rows_of(study: Study) -> bytes:
    images = study.cohort.images.sort_values("image_id")
    store = FeatureStore(study.store.root)
    (identity,) = study.encoders(0, 0).values()
    return store.read(identity, list(images["sha256"])).tobytes()


@pytest.mark.slow
def test_killed_among_archives(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", True)
    arguments = [sys.executable, "-c", CHILD, str(packed), str(tmp_path / "run")]
    child = subprocess.run(arguments, cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    shards = list((tmp_path / ".melafuse" / "store").glob("encoders/*/shards/*.h5"))
    assert len(shards) == 2
    resumed = Study.open(packed, tmp_path / "run")
    assert resumed.extract().reused == 14
    predictions = resumed.ablate()
    assert resumed.cohort.images["path"].str.contains("::").all()
    other = tmp_path / "other" / "run"  # of another project, so that nothing is taken over
    whole = Study.open(write_packed(tmp_path / "loose", False), other)
    pd.testing.assert_frame_equal(whole.ablate(), predictions)
    assert rows_of(resumed) == rows_of(whole)
