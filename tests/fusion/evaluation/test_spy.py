"""A spy in the outer test rows: no fit, tuning, early stopping, scaling or threshold touches them.

Everything inside that learns is watched while an evaluation runs: whose rows it gets. That what is
learned is the same bytes whatever the test rows hold is proved beside this, in `test_poison.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
from outer_fold_example import NAMES, Fold

import fusion.evaluation.fitting
import fusion.evaluation.predicting_binary
import fusion.models.grid
import fusion.models.head_inputs
import fusion.models.inner
import fusion.models.joint
import fusion.models.lightgbm
import fusion.models.rank_average
import fusion.models.training_together
from extractor.finetune import ImageCache, TrainingSamples
from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from fusion.arms import Modality
from fusion.features.metadata import MetadataEncoder
from fusion.features.reduction import PrincipalComponents, Standardizer
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.models.base import InnerPredictions, Model
from fusion.models.joint_batches import JointData
from fusion.models.training import HeadData


@pytest.fixture(scope="module")
def fold(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Fold:
    return Fold(cohort, Folds(folds.table[folds.table["fold"] == 0]), table, modalities)


class Spy:
    """Watches everything that learns, and whose rows it is given.

    Rows that travel without ids (matrices) are known by their origin: while a model is being
    fitted, every encoder's `transform` must be of training rows too, so nothing that is made from
    its output can hold a test row; and raw matrices are compared with the test rows themselves.
    """

    def __init__(self, fold: Fold) -> None:
        self.test_patients = fold.test_patients
        raw = fold.table.embeddings["net_a"][fold.test_rows]
        self.test_embeddings = {row.tobytes() for row in raw if not np.isnan(row).any()}
        assert fold.table.files is not None
        self.test_pictures = set(fold.table.files.sha256s[fold.test_rows]) - {""}
        self.seen: dict[str, int] = {}
        self.caught: list[str] = []
        self.fitting = False

    def patients(self, where: str, ids: Any) -> None:
        if not self.fitting:
            return
        found = self.test_patients & {str(i) for i in np.asarray(ids).ravel()}
        self.seen[where] = self.seen.get(where, 0) + 1
        if found:
            self.caught.append(f"{where}: {sorted(found)[:3]}")

    def rows(self, where: str, matrix: Any) -> None:
        if not self.fitting:
            return
        self.seen[where] = self.seen.get(where, 0) + 1
        rows = np.ascontiguousarray(np.asarray(matrix, dtype=np.float32))
        if any(row.tobytes() in self.test_embeddings for row in rows):
            self.caught.append(f"{where}: an embedding of a test row")

    def pictures(self, where: str, sha256s: Any) -> None:
        if not self.fitting:
            return
        self.seen[where] = self.seen.get(where, 0) + 1
        if self.test_pictures & set(sha256s):
            self.caught.append(f"{where}: a picture of a test row")

    def count(self, where: str, n: int, most: int) -> None:
        self.seen[where] = self.seen.get(where, 0) + 1
        if n > most:
            self.caught.append(f"{where}: {n} rows, training has {most}")


def before(patch: pytest.MonkeyPatch, owner: Any, name: str, look: Callable[..., None]) -> None:
    """Calls `look` with the arguments of every call of `owner.name`."""
    real = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return real(*args, **kwargs)

    patch.setattr(owner, name, watched)


@pytest.fixture
def spy(fold: Fold, monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy(fold)
    most = int((~fold.test_rows).sum())
    real = fusion.evaluation.fitting.model_of

    class Watched:
        """A model that says when it is being fitted, and on whom."""

        def __init__(self, model: Model) -> None:
            self._model = model

        def fit(self, table: FeatureTable, seed: int) -> Model:
            spy.fitting = True
            spy.patients("Model.fit", table.patient_ids)
            try:
                return self._model.fit(table, seed)
            finally:
                spy.fitting = False

    def watched_threshold(inner: InnerPredictions, *rest: Any) -> None:
        spy.fitting = True
        spy.patients("threshold", inner.patient_ids)
        spy.fitting = False

    def both_parts(head: Any, training: HeadData, validation: HeadData, *rest: Any) -> None:
        spy.patients("train_head training", training.patient_ids)
        spy.patients("train_head validation", validation.patient_ids)

    def both_joint_parts(network: Any, training: JointData, validation: JointData, *r: Any) -> None:
        spy.patients("train_joint training", training.columns.patient_ids)
        spy.patients("train_joint validation", validation.columns.patient_ids)

    def decoded(cache: Any, samples: TrainingSamples, *rest: Any) -> None:
        spy.pictures("ImageCache.squares", samples.sha256s)

    def boosted(settings: Any, data: Any, *rest: Any, valid_sets: Any = (), **more: Any) -> None:
        for part in (data.construct(), *valid_sets):
            spy.count("lightgbm.train", part.num_data(), most)

    def folds_of(patient_ids: np.ndarray, *rest: Any) -> None:
        spy.patients("inner folds", patient_ids)

    monkeypatch.setattr(fusion.evaluation.fitting, "model_of", lambda *a: Watched(real(*a)))
    before(monkeypatch, fusion.evaluation.predicting_binary, "inner_threshold", watched_threshold)
    for method in ("fit", "transform"):
        before(
            monkeypatch,
            TabularEncoder,
            method,
            lambda e, t, m=method: spy.patients(f"TabularEncoder.{m}", t.patient_ids),
        )
    before(
        monkeypatch,
        fusion.models.head_inputs.HeadInputs,
        "transform",
        lambda e, t: spy.patients("HeadInputs.transform", t.patient_ids),
    )
    before(
        monkeypatch,
        MetadataEncoder,
        "fit",
        lambda e, frame, ids: spy.patients("MetadataEncoder.fit", ids),
    )
    before(
        monkeypatch,
        PrincipalComponents,
        "fit",
        lambda p, matrix: spy.rows("PrincipalComponents.fit", matrix),
    )
    before(
        monkeypatch,
        Standardizer,
        "fit",
        lambda s, matrix, weights=None: spy.rows("Standardizer.fit", matrix),
    )
    for name in ("inner_folds", "inner_split"):
        before(monkeypatch, fusion.models.inner, name, folds_of)
    for module in (fusion.models.training_together, fusion.models.joint):
        before(monkeypatch, module, "train_head", both_parts)
    before(monkeypatch, fusion.models.training_together, "begin_training", both_parts)
    before(monkeypatch, fusion.models.joint, "train_joint", both_joint_parts)
    before(monkeypatch, ImageCache, "squares", decoded)
    before(
        monkeypatch,
        fusion.models.lightgbm,
        "tune_boosters",
        lambda folds, *rest: spy.patients("tune", patients_of(folds)),
    )
    before(
        monkeypatch,
        lightgbm,
        "train",
        boosted,
    )
    for module in (fusion.models.grid, fusion.models.rank_average):
        before(
            monkeypatch,
            module,
            "fit_platt",
            lambda score, *rest: spy.count("fit_platt", len(score), most),
        )
    return spy


def patients_of(folds: Sequence[Any]) -> list[str]:
    """Patients of the inner folds that trials are scored on."""
    rows = [r for binned in folds for r in (binned.fold.training, binned.fold.validation)]
    return [patient for part in rows for patient in part.patient_ids]


def test_nothing_that_learns_is_given_a_test_patient(fold: Fold, spy: Spy, tmp_path: Path) -> None:
    predictions = fold.evaluate(tmp_path, fold.table, explain=True)
    assert set(predictions["patient_id"]) == fold.test_patients
    assert spy.caught == []
    # The spy was everywhere it meant to be.
    assert sorted(spy.seen) == [
        "HeadInputs.transform",
        "ImageCache.squares",
        "MetadataEncoder.fit",
        "Model.fit",
        "PrincipalComponents.fit",
        "Standardizer.fit",
        "TabularEncoder.fit",
        "TabularEncoder.transform",
        "fit_platt",
        "inner folds",
        "lightgbm.train",
        "threshold",
        "train_head training",
        "train_head validation",
        "train_joint training",
        "train_joint validation",
        "tune",
    ]
    assert spy.seen["Model.fit"] == spy.seen["threshold"] == len(NAMES)


def test_the_spy_catches_a_leak(
    fold: Fold, spy: Spy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other proof can fail too: a run that fits on everybody is caught at every post."""

    def everybody(table: FeatureTable, *sides: Any) -> tuple[FeatureTable, FeatureTable]:
        return table, table.take(fold.test_rows)

    monkeypatch.setattr(fusion.evaluation.fitting, "split_fold", everybody)
    fold.evaluate(tmp_path, fold.table)
    posts = {where.split(":")[0] for where in spy.caught}
    assert posts >= {
        "ImageCache.squares",
        "MetadataEncoder.fit",
        "Model.fit",
        "PrincipalComponents.fit",
        "Standardizer.fit",
        "TabularEncoder.fit",
        "inner folds",
        "lightgbm.train",
        "threshold",
        "train_head training",
        "train_joint training",
        "tune",
    }


def test_fitting_leaves_the_callers_randomness_alone(fold: Fold, tmp_path: Path) -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.rand(), float(torch.rand(1))
    np.random.seed(0)
    torch.manual_seed(0)
    fold.evaluate(tmp_path, fold.table)
    assert (np.random.rand(), float(torch.rand(1))) == expected
