"""Trials are read by the measure that chose among them, whatever the kind of outcome."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.arms import ABLATION
from fusion.config import SpaceConfig
from fusion.evidence.tuning import tuning_evidence
from fusion.models.tuning import TrialRecord


@pytest.mark.parametrize("measure", ["auroc", "concordance"])
def test_the_best_so_far_is_of_the_measure(measure: str) -> None:
    trials = [
        TrialRecord(discrimination, 1.0, pruned, {}).to_record(measure, "loss")
        for discrimination, pruned in ((0.6, False), (0.9, True), (0.55, False), (0.7, False))
    ]
    fit = {"arm": "lightgbm[all]", "design": ABLATION, "choices": {"trials": trials}}
    (found,) = tuning_evidence([fit, fit], SpaceConfig())
    assert np.array_equal(found.best_so_far, [[0.6, 0.6, 0.6, 0.7]] * 2)
    assert found.pruned == 0.25


def test_trials_that_do_not_name_it_are_of_auroc() -> None:
    trials = [{"auroc": 0.6, "log_loss": 1.0, "pruned": False, "parameters": {}}]
    fit = {"arm": "lightgbm[all]", "design": ABLATION, "choices": {"trials": trials}}
    (found,) = tuning_evidence([fit], SpaceConfig())
    assert found.best_so_far.tolist() == [[0.6]]
