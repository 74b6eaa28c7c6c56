"""What comes after a fit, by kind of outcome: decisions on inner data, columns of predictions.

A kind of outcome registers what it does in `PREDICTING`; nothing else of an evaluation asks which
kind it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusion.evaluation.predicted import Predicted
from fusion.evaluation.predicting_binary import predict_binary
from fusion.evaluation.predicting_times import predict_times
from fusion.evaluation.tasks import Plan, Task
from fusion.features import FeatureTable

PREDICTING: dict[str, Callable[[Any, Task, FeatureTable, Plan], Predicted]] = {
    "binary": predict_binary,
    "time_to_event": predict_times,
}
"""By kind: given a fitted model, its task, the rows of the outer test part and the plan."""
