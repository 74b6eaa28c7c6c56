"""Poison in the outer test rows: what a model learns is the same bytes as without it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from outer_fold_example import NAMES, Fold

import fusion.evaluation.fitting
from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.outcomes import Target
from fusion.arms import Arm, Modality
from fusion.features.table import FeatureTable
from fusion.models.base import Model


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
