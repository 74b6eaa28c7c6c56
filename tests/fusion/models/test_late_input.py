"""A head that reads its rows from files is the head of the same rows in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import fusion.features.late as late_module
import fusion.models.late_input as late_input_module
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig
from fusion.features import FeatureTable
from fusion.features.late import LateEmbeddings, MatrixFile
from fusion.models import make_model
from fusion.testing.tables import feature_table

ARM = Arm(
    "both",
    "fusion_head",
    (Modality("net_a", embeddings=("net_a",)), Modality("clinical", groups=("staging",))),
)


def in_files(table: FeatureTable, folder: Path) -> FeatureTable:
    files, present = {}, {}
    for name, matrix in table.embeddings.items():
        files[name] = MatrixFile(folder, matrix.shape, matrix.dtype)
        files[name].writable()[:] = matrix
        present[name] = ~np.isnan(matrix).all(axis=1)
    late = LateEmbeddings(files, np.arange(len(table)), present)
    return dataclasses.replace(table, embeddings=late)


@pytest.mark.parametrize("batched", [False, True])
def test_a_head_fitted_from_a_file_predicts_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batched: bool
) -> None:
    table, fresh = feature_table(90), feature_table(50, seed=1)
    config = AblationConfig(head=HeadConfig(epochs=3, ensemble=1 + batched, batched=batched))
    memory = make_model(ARM, config).fit(table, 0)
    late = make_model(ARM, config).fit(in_files(table, tmp_path), 0)
    expected = memory.predict_proba(fresh)
    unscored = in_files(fresh, tmp_path)
    assert late.predict_proba(unscored).tobytes() == expected.tobytes()
    assert late.history_ == memory.history_
    gradients = late.embedding_gradients(unscored)["net_a"]
    assert gradients.tobytes() == memory.embedding_gradients(fresh)["net_a"].tobytes()
    monkeypatch.setattr(late_input_module, "PART_ROWS", 16)
    monkeypatch.setattr(late_module.parts_of, "__defaults__", (16,))
    np.testing.assert_allclose(late.predict_proba(unscored), expected, atol=1e-6)
