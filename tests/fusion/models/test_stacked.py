"""Stacking: no logit that decides anything was learned from whom it decides about."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
import pytest

import fusion.models.stacked
from featurestore.outcomes import Target
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig
from fusion.features.table import FeatureTable
from fusion.metrics.logits import logit, sigmoid
from fusion.models.base import canonical_order
from fusion.models.inner import TrainingData, folds_of_rows
from fusion.models.registry import MODELS
from fusion.models.settings import Settings
from fusion.models.stacked import LOGIT, StackedModel

Parts = tuple[FeatureTable, FeatureTable]


class Recorded:
    """A head whose logit tells how many patients it was fitted on; 0 for these themselves."""

    fits: list[set[str]]

    def __init__(self, arm: Arm, settings: Settings) -> None:
        self.choices_ = {"arm": arm.name}

    def fit(self, table: FeatureTable, seed: int) -> Recorded:
        self.learned = set(table.patient_ids)
        self.fits.append(self.learned)
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        seen = np.isin(table.patient_ids.astype(str), sorted(self.learned))
        return np.where(seen, 0.5, sigmoid(len(self.learned) / 100 + own_part(table)))


def own_part(table: FeatureTable) -> np.ndarray:
    """A small number of each patient, without which the logits of a fold would not vary."""
    return np.array([int(patient[1:]) * 1e-5 for patient in table.patient_ids])


@pytest.mark.parametrize("inner_folds", [2, 4])
def test_every_logit_comes_from_heads_that_have_not_seen_the_patient_or_the_fold(
    inner_folds: int,
    parts: Parts,
    modalities: tuple[Modality, ...],
    small_config: AblationConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuning = small_config.tuning.model_copy(update={"inner_folds": inner_folds})
    config = small_config.model_copy(update={"tuning": tuning})
    Recorded.fits = []
    given: list[TrainingData] = []
    real = fusion.models.stacked.encode_folds

    def kept(table: FeatureTable, folds: list[tuple[FeatureTable, ...]], *rest: object) -> object:
        given.append((table, folds))  # type: ignore[arg-type]
        return real(table, folds, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fusion.models.stacked, "FusionHeadModel", Recorded)
    monkeypatch.setattr(fusion.models.stacked, "encode_folds", kept)
    settings = Settings.of(config, MODELS["stacked"].sections)
    rows = parts[0].take(canonical_order(parts[0]))
    model = StackedModel(Arm("s", "stacked", modalities), settings).fit(rows, 0)
    n = max(inner_folds, 3)
    folds = folds_of_rows(rows, n, 0)
    people = [set(rows.patient_ids[validation]) for _, validation in folds]
    everyone = set(rows.patient_ids)
    one = [everyone - people[k] for k in range(n)]
    two = [everyone - people[j] - people[k] for j, k in itertools.combinations(range(n), 2)]
    assert Recorded.fits == [*one, *two]
    assert model.choices_["heads_fitted"] == len(one) + len(two)

    ((whole, seen),) = given  # type: ignore[misc]
    expected = np.empty(len(rows))
    for k, (_, validation) in enumerate(folds):
        expected[validation] = len(one[k]) / 100
    np.testing.assert_allclose(whole.columns[LOGIT.name] - own_part(rows), expected)
    for j, (own, training_rows, validation_rows) in enumerate(seen):
        assert training_rows.tolist() == folds[j][0].tolist()
        assert validation_rows.tolist() == folds[j][1].tolist()
        sizes = {k: len(everyone - people[j] - people[k]) / 100 for k in range(n) if k != j}
        logits = own.columns[LOGIT.name].to_numpy() - own_part(rows)
        for k, size in sizes.items():
            np.testing.assert_allclose(logits[folds[k][1]], size)
        np.testing.assert_allclose(logits[validation_rows], np.mean(list(sizes.values())))


def test_new_patients_get_the_mean_logit_of_the_heads_of_the_final_fit(
    parts: Parts, fit: Callable[..., StackedModel]
) -> None:
    model = fit("stacked", parts[0])
    assert len(model._heads) == 3
    test = parts[1].take(canonical_order(parts[1]))
    mean = np.mean([logit(head.predict_proba(test)) for head in model._heads], axis=0)
    table = fusion.models.stacked.beside(test, LOGIT, mean)
    assert model._trees.predict_proba(table).tobytes() == model.predict_proba(test).tobytes()


def test_outcomes_of_a_fold_do_not_reach_the_features_that_judge_it(
    parts: Parts,
    modalities: tuple[Modality, ...],
    small_config: AblationConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other outcomes in one fold change nothing that its fit in the tuning learns from."""
    settings = Settings.of(small_config, MODELS["stacked"].sections)
    rows = parts[0].take(canonical_order(parts[0]))
    folds = folds_of_rows(rows, 3, 0)
    monkeypatch.setattr(fusion.models.stacked, "folds_of_rows", lambda *_: folds)
    given: list[TrainingData] = []

    def stop(self: object, data: TrainingData, seed: int) -> None:
        given.append(data)
        raise InterruptedError

    monkeypatch.setattr(fusion.models.stacked.LightGbmModel, "fit_encoded", stop)
    for flipped in (False, True):
        y = rows.y.copy()
        if flipped:
            y[folds[1][1]] = 1 - y[folds[1][1]]
        model = StackedModel(Arm("s", "stacked", modalities), settings)
        with pytest.raises(InterruptedError):
            model.fit(dataclasses.replace(rows, target=Target.binary(y)), 0)
    before, after = (data.folds[1] for data in given)
    assert before.training.x.tobytes() == after.training.x.tobytes()
    assert before.validation.x.tobytes() == after.validation.x.tobytes()
    assert given[0].whole.x.tobytes() != given[1].whole.x.tobytes()
