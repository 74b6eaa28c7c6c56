"""Arms over frozen folds: tasks in, one table of out-of-fold predictions out."""

from fusion.evaluation.ladder import Claim, Ladder, climb
from fusion.evaluation.overlays import PatientOverlay, read_overlays, save_overlays
from fusion.evaluation.predictions import prediction_types, predictions_table, read_predictions
from fusion.evaluation.run import evaluate
from fusion.evaluation.tasks import Plan, Task, plan_tasks, split_fold
from fusion.evaluation.time_ladder import TimeLadder, climb_time, predictors_of

__all__ = [
    "Claim",
    "Ladder",
    "PatientOverlay",
    "Plan",
    "Task",
    "TimeLadder",
    "climb",
    "climb_time",
    "evaluate",
    "plan_tasks",
    "prediction_types",
    "predictions_table",
    "predictors_of",
    "read_overlays",
    "read_predictions",
    "save_overlays",
    "split_fold",
]
