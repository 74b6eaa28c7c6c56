"""After the fit of a binary outcome: calibration and threshold, then probabilities."""

from __future__ import annotations

import numpy as np

from fusion.evaluation.predicted import Predicted
from fusion.evaluation.tasks import Plan, Task
from fusion.features import FeatureTable
from fusion.metrics import by_patient, logit
from fusion.models import (
    Model,
    calibrate,
    calibration_record,
    chosen_calibration,
    inner_threshold,
    rule_text,
)

CONSTANT = 1e-9
"""Range of mean logits below which all are the same but for rounding."""


def predict_binary(model: Model, task: Task, test: FeatureTable, plan: Plan) -> Predicted:
    """Calibrates and chooses a threshold on inner predictions, then scores the test patients.

    Args:
        model: Fitted on the task's training rows.
        task: Arm and fold.
        test: Rows of the test patients.
        plan: What all tasks share.
    """
    config = plan.config
    calibration = calibrate(model.inner_, chosen_calibration(task.arm.model, config))
    threshold = inner_threshold(calibration.inner, config.threshold)
    patients, y, raw = by_patient(test.patient_ids, test.y, model.predict_proba(test))
    probability = calibration.fitted(raw)
    score = logit(probability)
    if len(score) > 1 and np.ptp(score) < CONSTANT:
        # A fit that gives everyone the same probability ranks nobody. Its level differs between
        # folds against the prevalence of their test part, which over pooled folds would look like
        # a ranking.
        score = np.zeros(len(score))
    columns = {"y": y, "score": score, "probability": probability, "threshold": threshold}
    record = {
        "threshold": threshold,
        "threshold_rule": f"{rule_text(config.threshold)} on inner predictions",
        "calibration": {"method": calibration.method} | calibration_record(calibration.fitted),
    }
    return Predicted(patients, columns, record)
