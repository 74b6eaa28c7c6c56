"""The permuted floor is at chance, with the scatter that its interval claims."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, MetadataConfig, TuningConfig
from fusion.evaluation.permutation import draw_partners, with_partners_outcomes
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan
from fusion.evidence.aligned import align
from fusion.evidence.scoring import score_arms
from fusion.features.table import FeatureTable

SMALL = AblationConfig(
    metadata=MetadataConfig(expression_components=2, embedding_components=3),
    tuning=TuningConfig(inner_folds=2),
    jobs=1,
)


def test_partners_are_a_permutation_within_each_test_fold(folds: Folds) -> None:
    partners = draw_partners(folds, (0, 1), seed=1)
    fold_of = folds.tested(0)
    assert sorted(partners) == sorted(partners.values()) == sorted(fold_of.index)
    assert all(fold_of[a] == fold_of[b] for a, b in partners.items())
    assert sum(a == b for a, b in partners.items()) < len(partners) / 4
    assert draw_partners(Folds(folds.table.iloc[::-1]), (0, 1), seed=1) == partners
    assert draw_partners(folds, (0, 1), seed=2) != partners
    assert draw_partners(folds, (0, 2), seed=1) != partners, "folds share no exchange"


def test_every_row_gets_its_partners_outcome(table: FeatureTable, folds: Folds) -> None:
    partners = draw_partners(folds, (0, 1), seed=1)
    exchanged = with_partners_outcomes(table, partners)
    outcome = dict(zip(table.patient_ids, table.y, strict=True))
    assert exchanged.y.tolist() == [outcome[partners[p]] for p in table.patient_ids]
    assert exchanged.patient_ids is table.patient_ids


@pytest.mark.slow
def test_the_floors_interval_covers_one_half(
    make_table: Callable[..., FeatureTable],
    make_cohort: Callable[[FeatureTable], Cohort],
    make_fold_table: Callable[[Cohort], Folds],
    modalities: tuple[Modality, ...],
    tmp_path: Path,
) -> None:
    """100 studies with strong features, from folds to intervals.

    A floor that kept part of the pairing would lie above one half; one exchange for all folds
    would scatter more than its interval says.
    """
    arm = Arm("permuted_labels", "permuted_labels", modalities)
    covered, areas = 0, []
    for seed in range(100):
        table = make_table(150, seed)
        cohort = make_cohort(table)
        predictions = evaluate(
            cohort,
            make_fold_table(cohort),
            lambda repeat, fold, table=table: table,
            [arm],
            Plan(SMALL, seed, "x", tmp_path / str(seed), "d"),
        )
        aligned = align(predictions, arm.name)
        scores = score_arms(aligned, aligned.patient_ids, 0.3, 500, seed)[arm.name]
        found = scores.estimate("auroc")
        covered += found.low <= 0.5 <= found.high
        areas.append(found.value)
    assert covered >= 93
    events, others = cohort.n_events, cohort.n_patients - cohort.n_events
    chance = np.sqrt((events + others + 1) / (12 * events * others))  # Mann & Whitney 1947
    assert abs(np.mean(areas) - 0.5) < 4 * chance / np.sqrt(100)
    assert np.std(areas) < 1.3 * chance
