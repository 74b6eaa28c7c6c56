"""One arm on one outer fold: fits on its training rows and predicts its test patients."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from fusion.arms import ABLATION
from fusion.evaluation.designs import training_part
from fusion.evaluation.kept_models import keep_model
from fusion.evaluation.parts import Part
from fusion.evaluation.permutation import with_partners_outcomes
from fusion.evaluation.predicting import PREDICTING
from fusion.evaluation.sensitivity import model_of, settings_of
from fusion.evaluation.tasks import Plan, Task, is_drawn, split_fold
from fusion.features import FeatureTable
from fusion.ledger import Ledger
from fusion.models import Differentiable, find_model
from fusion.models.explanation import explain
from fusion.models.gathering import own_seconds


def fit_task(task: Task, table: FeatureTable, plan: Plan, ledger: Ledger) -> Part:
    """Fits one arm on the training rows of its fold and predicts the test patients.

    A model that pictures are drawn from is kept beside the parts.

    Args:
        task: Arm and fold.
        table: Features of all patients as the fold's encoders embed them.
        plan: What all tasks share.
        ledger: Where the fits of this task have been recorded.

    Raises:
        LeakageError: A patient or a group is on both sides of the fold.
        DataError: The arm cannot be fitted on this fold.
    """
    config = settings_of(plan.config, task.arm.design)
    if task.partners is not None:
        table = with_partners_outcomes(table, task.partners)
    table = table.seen_by(task.arm.modalities)
    training, test = split_fold(table, task.training_patients, task.test_patients)
    training = training_part(training, task.arm.design, task.seed)
    started = own_seconds()
    model = model_of(task.arm, config, task.study, plan.kind).fit(training, task.seed)
    seconds = own_seconds() - started
    if is_drawn(task, plan) and isinstance(model, Differentiable):
        keep_model(model, task.digest, plan.parts)
    predicted = PREDICTING[plan.kind](model, task, test, plan)
    patients = predicted.patients
    if task.partners is not None:
        # Written under the patient whose outcome it is, so that all arms are scored alike.
        patients = np.array([task.partners[patient] for patient in patients])
    predictions = pd.DataFrame(
        {
            "run": "",  # of whichever takes it
            **task_names(task),
            "patient_id": patients,
            **predicted.columns,
        }
    )
    plain = task.arm.design == ABLATION
    kind = find_model(task.arm.model, plan.kind)
    asked = config.explain and kind.explained and plain
    record = {
        **task_names(task),
        "seed": task.seed,
        "training_patients": len(np.unique(training.patient_ids.astype(str))),
        "test_patients": len(task.test_patients),
        **predicted.record,
        "study": None if task.study is None else task.study.name,
        "choices": model.choices_,
        "explanation": explain(model, task.arm, test, task.seed) if asked else None,
        "training_digest": ledger.training_digest,
        "steps": [dataclasses.asdict(step) for step in ledger.steps()],
    }
    if kind.brought:
        record["brought"] = dict(kind.brought)
    return Part(predictions, test.target.kind, record, model.history_, seconds)


def task_names(task: Task) -> dict[str, Any]:
    """What a task is called in predictions and records."""
    return {
        "arm": task.arm.name,
        "model": task.arm.model,
        "modalities": task.arm.modality_text,
        "design": task.arm.design,
        "repeat": task.repeat,
        "fold": task.fold,
    }
