"""After the fit of times to an event: cut points of risk groups, then scores and risks."""

from __future__ import annotations

import numpy as np

from fusion.endpoints import TIME_TO_EVENT
from fusion.evaluation.predicted import Predicted
from fusion.evaluation.tasks import Plan, Task
from fusion.features import FeatureTable
from fusion.models.survival import SurvivalModel, cut_points, groups_of


def predict_times(model: SurvivalModel, task: Task, test: FeatureTable, plan: Plan) -> Predicted:
    """Cuts risk groups on inner scores, then scores the test patients.

    The scale of risks is the model's own, from the same inner scores (`RiskScale`).

    Args:
        model: Fitted on the task's training rows.
        task: Arm and fold.
        test: Rows of the test patients.
        plan: What all tasks share.
    """
    inner, target = model.inner_, test.target
    cuts = cut_points(inner.patient_ids, inner.score, plan.config.risk_groups)
    patients, first = np.unique(test.patient_ids.astype(str), return_index=True)
    prediction = model.predict(test, np.asarray(plan.horizons, dtype=float))
    score = prediction.score[first]
    known = target.take(first)
    names = TIME_TO_EVENT.horizon_columns(plan.horizons)
    columns = {
        "event": known.event.astype(np.int64),
        "time": known.time,
        "entry": known.entry,
        "score": score,
        "risk_group": groups_of(score, cuts),
        **dict(zip(names, prediction.risk[first].T, strict=True)),
    }
    record = {"risk_groups": {"cut_points": cuts.tolist(), "counted_from": "lowest risk"}}
    return Predicted(patients, columns, record)
