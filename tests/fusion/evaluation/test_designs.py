"""Arms without a group and on fewer patients: what they see, and what the evidence says of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.folds import Folds
from featurestore.cohort.tables import Cohort
from featurestore.errors import ConfigError
from fusion import metrics
from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, LearningCurveConfig, LeaveOutConfig, MetadataConfig
from fusion.evaluation.designs import left_out, training_part, training_share, with_designs
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan
from fusion.evidence.aligned import align
from fusion.evidence.designs import group_losses, learning_curve
from fusion.evidence.scoring import score_arms
from fusion.features.table import FeatureTable

CONFIG = AblationConfig(
    leave_out=LeaveOutConfig(models=("logistic_regression",)),
    learning_curve=LearningCurveConfig(models=("logistic_regression",), shares=(0.5, 0.25)),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
    jobs=1,
)


@pytest.fixture(scope="module")
def arms(table: FeatureTable, modalities: tuple[Modality, ...]) -> tuple[Arm, ...]:
    whole = Arm("logistic_regression[all]", "logistic_regression", modalities)
    return with_designs([whole], modalities, table.dictionary, CONFIG)


def test_every_group_and_backbone_is_left_out_once(arms: tuple[Arm, ...]) -> None:
    without = {left_out(a.design): a for a in arms if left_out(a.design)}
    assert list(without) == ["net_a", "demographic", "histopathology", "staging", "expression"]
    assert [m.name for m in without["net_a"].modalities] == ["clinical", "expression"]
    clinical = without["staging"].modalities[1]
    assert clinical.groups == ("demographic", "histopathology")
    assert without["staging"].name == "logistic_regression[all] without staging"
    shares = [training_share(a.design) for a in arms if training_share(a.design)]
    assert shares == [0.25, 0.5]
    assert len({a.name for a in arms}) == len(arms) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave_out": LeaveOutConfig(models=("svm",))}, "leave_out: 'svm' has no arm on all"),
        ({"learning_curve": LearningCurveConfig()}, "'lightgbm' has no arm on all modalities"),
        (
            {"leave_out": LeaveOutConfig(models=("logistic_regression",), groups=("genes",))},
            "group 'genes' is unknown; known: net_a, demographic",
        ),
    ],
)
def test_what_cannot_be_designed_is_named(
    change: dict[str, object],
    message: str,
    table: FeatureTable,
    modalities: tuple[Modality, ...],
) -> None:
    whole = Arm("logistic_regression[all]", "logistic_regression", modalities)
    config = CONFIG.model_copy(update=change)
    with pytest.raises(ConfigError, match=message):
        with_designs([whole], modalities, table.dictionary, config)


def test_smaller_shares_are_parts_of_larger_ones_and_keep_groups_whole(
    table: FeatureTable,
) -> None:
    tied = table.groups.astype(str)
    pairs = np.array([f"G{int(p[1:]) // 2}" for p in tied], dtype=object)
    grouped = FeatureTable(**{**vars(table), "groups": pairs})
    parts = [training_part(grouped, f"share {s}", seed=3) for s in (0.25, 0.5, 0.75)]
    patients = [set(p.patient_ids) for p in parts]
    assert patients[0] < patients[1] < patients[2] < set(grouped.patient_ids)
    for part in parts:
        inside, outside = set(part.groups), set(grouped.groups) - set(part.groups)
        assert not inside & outside
        assert all(
            np.isin(grouped.patient_ids[grouped.groups == g], part.patient_ids).all()
            for g in inside
        )
    events = dict(zip(grouped.patient_ids, grouped.y, strict=True))
    share = np.mean([events[p] for p in patients[0]])
    assert share == pytest.approx(np.mean(list(events.values())), abs=0.1)
    again = training_part(grouped, "share 0.25", seed=3)
    assert list(again.row_ids) == list(parts[0].row_ids)
    assert training_part(grouped, "without staging", seed=3) is grouped


@pytest.fixture(scope="module")
def finished(
    cohort: Cohort,
    folds: Folds,
    table: FeatureTable,
    arms: tuple[Arm, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[pd.DataFrame, Path]:
    work = tmp_path_factory.mktemp("designs")
    predictions = evaluate(
        cohort, folds, lambda repeat, fold: table, arms, Plan(CONFIG, 0, "test", work, "d")
    )
    return predictions, work


def test_designs_are_marked_and_test_the_same_patients(
    finished: tuple[pd.DataFrame, Path], arms: tuple[Arm, ...]
) -> None:
    predictions, work = finished
    by_arm = predictions.groupby("arm")["design"].unique()
    assert {a.name: [a.design] for a in arms} == {k: list(v) for k, v in by_arm.items()}
    tested = predictions.groupby("arm")["patient_id"].apply(frozenset)
    assert len(set(tested)) == 1
    fits = json.loads((work / "choices.json").read_text())["fits"]
    sizes = {fit["arm"]: fit["training_patients"] for fit in fits if fit["fold"] == 0}
    assert (
        sizes["logistic_regression[all] on 25% of patients"]
        < sizes["logistic_regression[all] on 50% of patients"]
        < sizes["logistic_regression[all]"]
    )
    explained = {fit["arm"] for fit in fits if fit["explanation"]}
    assert explained == {"logistic_regression[all]"}


def test_losses_and_curve_are_those_of_the_predictions(
    finished: tuple[pd.DataFrame, Path],
) -> None:
    predictions, _ = finished
    aligned = align(predictions, "logistic_regression[all]")
    scores = score_arms(aligned, aligned.patient_ids, 0.3, 200, 0)

    def auroc(arm: str) -> float:
        rows = predictions[predictions["arm"] == arm]
        return float(metrics.auroc(rows["y"].to_numpy(float), rows["score"].to_numpy())[0])

    whole = auroc("logistic_regression[all]")
    losses = group_losses(aligned.arms, scores, "auroc")
    assert len(losses) == 5
    assert losses == tuple(sorted(losses, key=lambda g: -g.loss.value))
    for loss in losses:
        without = auroc(f"logistic_regression[all] without {loss.group}")
        assert loss.without.value == pytest.approx(without)
        assert loss.loss.value == pytest.approx(whole - without)
        assert loss.p <= loss.p_holm <= 1
    # The factor in the embedding is planted and nothing else carries it.
    assert losses[0].group == "net_a"
    assert losses[0].loss.value > 0.05
    curve = learning_curve(aligned.arms, scores, "auroc", "brier")
    assert [point.share for point in curve] == [0.25, 0.5, 1.0]
    assert curve[-1].headline.value == pytest.approx(whole)
