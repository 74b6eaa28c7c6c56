"""A spy in the outer test rows: no fit, tuning, early stopping, scaling or threshold touches them.

Two proofs. What a model learns is the same bytes whether the test rows hold their true values or
poison. And everything inside that learns is watched while an evaluation runs: whose rows it gets.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch

import fusion.evaluation.fitting
import fusion.evaluation.predicting_binary
import fusion.models.calibration
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
from featurestore.outcomes import Target
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, HeadConfig, JointConfig, MetadataConfig, TuningConfig
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan
from fusion.features.metadata import MetadataEncoder
from fusion.features.reduction import PrincipalComponents, Standardizer
from fusion.features.table import FeatureTable
from fusion.features.tabular import TabularEncoder
from fusion.models.base import InnerPredictions, Model
from fusion.models.joint_batches import JointData
from fusion.models.registry import MODELS
from fusion.models.training import HeadData

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=3, inner_folds=2),
    head=HeadConfig(projection=4, hidden=(4,), epochs=3, ensemble=2),
    joint=JointConfig(epochs=2),
    metadata=MetadataConfig(embedding_components=3, expression_components=2),
    jobs=1,
)
NAMES = sorted(MODELS)


@dataclasses.dataclass(frozen=True)
class Fold:
    """One outer fold, so that there is one set of test patients."""

    cohort: Cohort
    folds: Folds
    table: FeatureTable
    modalities: tuple[Modality, ...]

    @property
    def test_patients(self) -> set[str]:
        return set(self.folds.test((0, 0)))

    @property
    def test_rows(self) -> np.ndarray:
        return np.isin(self.table.patient_ids.astype(str), sorted(self.test_patients))

    def arms(self) -> list[Arm]:
        pictures = Modality("net_p", embeddings=("net_p",))
        of_pictures = tuple(pictures if m.embeddings else m for m in self.modalities)
        return [
            Arm(name, name, of_pictures if name == "joint" else self.modalities) for name in NAMES
        ]

    def evaluate(self, work: Path, table: FeatureTable, explain: bool = False) -> pd.DataFrame:
        config = CONFIG.model_copy(update={"explain": explain})
        return evaluate(
            self.cohort,
            self.folds,
            lambda repeat, fold: table,
            self.arms(),
            Plan(config, 0, "spy", work, "d"),
        )


@pytest.fixture(scope="module")
def fold(
    cohort: Cohort, folds: Folds, table: FeatureTable, modalities: tuple[Modality, ...]
) -> Fold:
    return Fold(cohort, Folds(folds.table[folds.table["fold"] == 0]), table, modalities)


def nothing(fold: Fold) -> FeatureTable:
    """Test rows without any value."""
    return poisoned(fold, np.nan, lambda column: column.where(~fold.test_rows))


def huge(fold: Fold) -> FeatureTable:
    """Test rows far outside anything seen, with a level that no one else has."""

    def overwrite(column: pd.Series) -> pd.Series:
        value: Any = "poison" if column.name == "sex" else "III" if column.name == "stage" else 1e9
        value = 1.0 if column.name == "ulceration" else value
        return column.where(~fold.test_rows, value)

    return poisoned(fold, 1e6, overwrite)


def relabelled(fold: Fold) -> FeatureTable:
    """Test rows of the other outcome."""
    return dataclasses.replace(
        fold.table,
        target=Target.binary(np.where(fold.test_rows, 1 - fold.table.y, fold.table.y)),
    )


def poisoned(fold: Fold, value: float, overwrite: Callable[[pd.Series], pd.Series]) -> FeatureTable:
    """Test rows whose embeddings, columns and pictures are not their own."""
    table = fold.table
    assert table.files is not None
    embeddings = {name: matrix.copy() for name, matrix in table.embeddings.items()}
    for matrix in embeddings.values():
        matrix[fold.test_rows] = value
    has_picture = table.files.sha256s != ""
    other = np.flatnonzero(has_picture & ~fold.test_rows)[0]
    swapped = np.where(fold.test_rows & has_picture, other, np.arange(len(table)))
    columns = table.columns.apply(overwrite)
    return dataclasses.replace(
        table,
        embeddings=embeddings,
        columns=columns,
        files=table.files.take(swapped),
        bags={name: bags.take(swapped) for name, bags in table.bags.items()},
    )


@dataclasses.dataclass(frozen=True)
class Learned:
    """All that an evaluation learned, and what its models say about the true test rows."""

    states: dict[str, bytes]
    records: list[dict[str, Any]]
    history: pd.DataFrame


def learn(fold: Fold, table: FeatureTable, work: Path, patch: pytest.MonkeyPatch) -> Learned:
    models: dict[str, Model] = {}
    real = fusion.evaluation.fitting.model_of

    def kept(arm: Arm, *rest: Any) -> Model:
        models[arm.name] = real(arm, *rest)
        return models[arm.name]

    patch.setattr(fusion.evaluation.fitting, "model_of", kept)
    fold.evaluate(work, table)
    patch.undo()
    record = json.loads((work / "choices.json").read_text())
    assert record["failures"] == []
    return Learned(
        {name: state(model, fold) for name, model in models.items()},
        record["fits"],
        pd.read_parquet(work / "history.parquet"),
    )


def state(model: Model, fold: Fold) -> bytes:
    """Inner predictions, predictions of the true test rows, and fitted parameters as bytes."""
    inner = model.inner_
    parts = ["".join(inner.patient_ids).encode(), inner.y.tobytes(), inner.probability.tobytes()]
    parts.append(model.predict_proba(fold.table.take(fold.test_rows)).tobytes())
    if hasattr(model, "encoder_"):
        record, arrays = model.encoder_.to_state()
        parts.append(json.dumps(record).encode())
        parts += [arrays[name].tobytes() for name in sorted(arrays)]
    if hasattr(model, "booster_"):
        parts.append(model.booster_.model_to_string().encode())
    return b"|".join(parts)


@pytest.fixture(scope="module")
def clean(fold: Fold, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    with pytest.MonkeyPatch.context() as patch:
        return learn(fold, fold.table, tmp_path_factory.mktemp("clean"), patch)


@pytest.mark.parametrize("poison", [nothing, huge, relabelled])
def test_poison_in_the_test_rows_changes_nothing_that_was_learned(
    poison: Callable[[Fold], FeatureTable],
    fold: Fold,
    clean: Learned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned = learn(fold, poison(fold), tmp_path, monkeypatch)
    assert sorted(learned.states) == NAMES
    for name in NAMES:
        assert learned.states[name] == clean.states[name], name
    # Explanations are of the test part, and nothing is learned from them.
    told = [[r | {"explanation": None} for r in side.records] for side in (learned, clean)]
    assert told[0] == told[1]
    pd.testing.assert_frame_equal(learned.history, clean.history, check_exact=True)


def test_poison_is_noticed_in_the_training_rows(
    fold: Fold, clean: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof above can fail: one poisoned training patient changes every model but one."""
    patient = fold.table.patient_ids[~fold.test_rows][0]
    victim = fold.table.patient_ids == patient
    embedding = fold.table.embeddings["net_a"].copy()
    embedding[victim] = 50
    spoilt = dataclasses.replace(
        fold.table,
        embeddings={**fold.table.embeddings, "net_a": embedding},
        columns=fold.table.columns.assign(
            breslow=fold.table.columns["breslow"].where(~victim, 1e3)
        ),
    )
    learned = learn(fold, spoilt, tmp_path, monkeypatch)
    same = [name for name in NAMES if learned.states[name] == clean.states[name]]
    assert same == ["prevalence"]


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
