"""What `predict` says is what the evaluation says of the same fitted system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundle_example import ARMS, Fitted, predictions_of

from fusion.bundle import write_bundle
from fusion.bundle.fitting import fit_arms
from fusion.bundle.make import assemble
from fusion.evaluation.tasks import Plan, plan_tasks, split_fold
from fusion.predict import Predictor
from fusion.study.study import FinalFeatures

pytestmark = pytest.mark.slow


def test_scores_of_a_folds_test_patients_are_those_of_the_evaluation(
    tiny: Fitted, tmp_path: Path
) -> None:
    study = tiny.study
    arms = tuple(next(a for a in study.arms if a.name == name) for name in ARMS)
    ablation = study.config.ablation
    tasks = plan_tasks(
        study.folds, list(arms), Plan(ablation, study.config.seed, "tiny", tmp_path, "")
    )
    task = next(t for t in tasks if (t.repeat, t.fold) == (0, 1))
    table = study.features(0, 1)
    training, _ = split_fold(table, task.training_patients, task.test_patients)
    backbones = {b.name: b for b in study.config.extract.backbones}
    final = FinalFeatures(training, study.encoders(0, 1), backbones)
    fitted = fit_arms(training, arms, ablation, task.seed, replicates=0)
    predictions = predictions_of(tiny)
    record, contents = assemble(study, final, fitted, study.evidence(predictions))
    write_bundle(record, contents, tmp_path / "fold.zip")

    predictor = Predictor.load(tmp_path / "fold.zip")
    cases = [
        predictor.case(tiny.values_of(patient), tiny.images_of(patient), patient)
        for patient in task.test_patients
    ]
    together = predictor.predict(cases)
    expected = predictions[predictions["fold"] == 1].set_index(["arm", "patient_id"])
    for prediction in together:
        scores = {s.arm: s for s in (prediction.score, *prediction.others)}
        assert list(scores) == list(ARMS)
        for name, score in scores.items():
            row = expected.loc[(name, prediction.patient_id)]
            np.testing.assert_allclose(score.probability, row["probability"], rtol=0, atol=1e-6)
            assert score.threshold == row["threshold"]
    alone = [predictor.predict([case])[0] for case in cases[:5]]
    assert alone == together[:5]
