"""Everything that an arm can name, behind one protocol and in one registry."""

from fusion.models.base import Differentiable, InnerPredictions, Model
from fusion.models.calibration import (
    AS_GIVEN,
    CALIBRATIONS,
    Calibrated,
    Calibration,
    IsotonicScaling,
    PlattScaling,
    TemperatureScaling,
    Uncalibrated,
    calibrate,
    calibration_record,
    calibration_text,
)
from fusion.models.clinical_columns import PREDICTORS, find_predictor, reference_columns
from fusion.models.floors import with_floors
from fusion.models.model_kind import ModelKind, Role
from fusion.models.own import find_own, own_model, own_names, register_model, registered, take_over
from fusion.models.registry import (
    MODELS,
    chosen_calibration,
    effort_of,
    facts_of,
    find_model,
    make_model,
    names_of,
    relevant_settings,
)
from fusion.models.threads import single_thread
from fusion.models.thresholds import inner_threshold, rule_text

__all__ = [
    "AS_GIVEN",
    "CALIBRATIONS",
    "MODELS",
    "PREDICTORS",
    "Calibrated",
    "Calibration",
    "Differentiable",
    "InnerPredictions",
    "IsotonicScaling",
    "Model",
    "ModelKind",
    "PlattScaling",
    "Role",
    "TemperatureScaling",
    "Uncalibrated",
    "calibrate",
    "calibration_record",
    "calibration_text",
    "chosen_calibration",
    "effort_of",
    "facts_of",
    "find_model",
    "find_own",
    "find_predictor",
    "inner_threshold",
    "make_model",
    "names_of",
    "own_model",
    "own_names",
    "reference_columns",
    "register_model",
    "registered",
    "relevant_settings",
    "rule_text",
    "single_thread",
    "take_over",
    "with_floors",
]
