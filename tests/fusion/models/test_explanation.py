"""Explanations against a planted truth, LightGBM's own sums and by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fusion.arms import Arm, Modality
from fusion.config import AblationConfig, MetadataConfig, SpaceConfig, TuningConfig
from fusion.evidence.importances import block_importances, top_inputs
from fusion.evidence.tuning import tuning_evidence
from fusion.features.table import FeatureTable
from fusion.metrics.logits import logit
from fusion.models.base import Model
from fusion.models.explanation import Contributing, _shuffled, explain
from fusion.models.lightgbm import LightGbmModel
from fusion.models.registry import make_model
from tests.fusion.conftest import feature_table

CONFIG = AblationConfig(
    tuning=TuningConfig(trials=2, inner_folds=2),
    metadata=MetadataConfig(embedding_components=4, expression_components=2),
)


@pytest.fixture(scope="module")
def parts() -> tuple[FeatureTable, FeatureTable]:
    table = feature_table(300)
    ids = np.unique(table.patient_ids.astype(str))
    return table.of_patients(ids[:200]), table.of_patients(ids[200:])


@pytest.fixture(scope="module")
def arm(modalities: tuple[Modality, ...]) -> Arm:
    return Arm("lightgbm[all]", "lightgbm", modalities)


@pytest.fixture(scope="module")
def fitted(parts: tuple[FeatureTable, FeatureTable], arm: Arm) -> Model:
    return make_model(arm, CONFIG).fit(parts[0], 0)


def test_what_carries_the_outcome_is_important(
    fitted: Model, arm: Arm, parts: tuple[FeatureTable, FeatureTable]
) -> None:
    found = explain(fitted, arm, parts[1], 0)
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    lost = found["importance"]
    assert set(lost) == {"net_a", "demographic", "histopathology", "staging", "expression"}
    assert lost["net_a"] > 0.05 > abs(lost["demographic"])
    assert set(found["contributions"]) <= set(lost)
    assert max(found["contributions"], key=found["contributions"].__getitem__) == "net_a"
    sizes = [one["size"] for one in found["inputs"]]
    assert sizes == sorted(sizes, reverse=True)
    assert explain(fitted, arm, parts[1], 0) == found


def test_contributions_add_up_to_the_log_odds(
    fitted: Model, parts: tuple[FeatureTable, FeatureTable]
) -> None:
    assert isinstance(fitted, LightGbmModel)
    assert isinstance(fitted, Contributing)
    found = fitted.contributions(parts[1])
    rest = logit(fitted.predict_proba(parts[1])) - found.values.sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-8)
    assert found.values.shape == (len(parts[1]), len(found.names))
    assert len(found.blocks) == len(found.names)


def test_one_block_and_one_class_have_nothing_to_tell(
    fitted: Model, arm: Arm, parts: tuple[FeatureTable, FeatureTable]
) -> None:
    single = Arm("lightgbm[net_a]", "lightgbm", arm.modalities[:1])
    assert explain(fitted, single, parts[1], 0) is None
    events = parts[1].take(parts[1].y == 1)
    assert explain(fitted, arm, events, 0) is None


@pytest.mark.parametrize("block", ["net_a", "histopathology"])
def test_a_shuffle_exchanges_one_block_between_patients(
    block: str, parts: tuple[FeatureTable, FeatureTable]
) -> None:
    table = parts[1]
    shuffled = _shuffled(table, block, np.random.default_rng(0))
    changed = [c for c in table.columns if not shuffled.columns[c].equals(table.columns[c])]
    own = [c.name for c in table.dictionary if c.group == block]
    assert set(changed) <= set(own)
    same = np.array_equal(shuffled.embeddings["net_a"], table.embeddings["net_a"], equal_nan=True)
    assert same == (block != "net_a")
    if block != "net_a":
        assert changed
        for _, rows in shuffled.columns[own].groupby(shuffled.patient_ids.astype(str)):
            assert len(rows.drop_duplicates()) == 1
    assert list(shuffled.y) == list(table.y)


def _fit(fold: int, **explanation: Any) -> dict[str, Any]:
    return {"arm": "a", "fold": fold, "explanation": explanation}


def test_folds_are_averaged_by_hand() -> None:
    fits = [
        _fit(
            0,
            importance={"x": 0.2, "y": 0.0},
            contributions={"x": 3.0, "y": 1.0},
            inputs=[{"name": "x1", "block": "x", "size": 3.0}],
        ),
        _fit(
            1,
            importance={"x": 0.4, "y": 0.1},
            contributions={"x": 3.0, "y": 1.0},
            inputs=[{"name": "y1", "block": "y", "size": 1.0}],
        ),
        {"arm": "b", "fold": 0, "explanation": None},
    ]
    x, y = block_importances(fits)
    assert (x.block, x.lost, x.least, x.most, x.share) == (
        "x",
        pytest.approx(0.3),
        0.2,
        0.4,
        0.75,
    )
    assert (y.block, y.share) == ("y", 0.25)
    first, second = top_inputs(fits)
    assert (first.name, first.size, first.folds) == ("x1", 1.5, 1)
    assert (second.name, second.size) == ("y1", 0.5)


def _trial(auroc: float, leaves: int, pruned: bool = False) -> dict[str, Any]:
    parameters = {
        "num_leaves": leaves,
        "learning_rate": 0.06,
        "min_child_samples": 20,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.8,
        "lambda_l2": 1.0,
    }
    return {"auroc": auroc, "log_loss": 0.6, "pruned": pruned, "parameters": parameters}


def test_the_parameter_that_matters_has_the_importance() -> None:
    trials = [_trial(0.6 + 0.01 * leaves, leaves) for leaves in range(4, 16)]
    trials.insert(3, _trial(0.99, 8, pruned=True))
    fits = [{"arm": "lightgbm[all]", "design": "ablation", "choices": {"trials": trials}}]
    (found,) = tuning_evidence(fits, SpaceConfig())
    assert found.importance["num_leaves"] == pytest.approx(1.0, abs=0.01)
    assert found.pruned == pytest.approx(1 / 13)
    curve = found.best_so_far[0]
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == pytest.approx(0.75), "a pruned trial is never the best"


def test_few_trials_have_no_importance() -> None:
    fits = [
        {"arm": "a", "design": "ablation", "choices": {"trials": [_trial(0.6, 5), _trial(0.7, 6)]}}
    ]
    assert tuning_evidence(fits, SpaceConfig())[0].importance == {}
