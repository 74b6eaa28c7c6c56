"""Scores of new patients by a bundle."""

from fusion.predict.cases import Case, Flag, Picture
from fusion.predict.predictor import Predictor
from fusion.predict.result import Prediction, prediction_record
from fusion.predict.scores_binary import Score
from fusion.predict.scores_times import TimesScore

__all__ = [
    "Case",
    "Flag",
    "Picture",
    "Prediction",
    "Predictor",
    "Score",
    "TimesScore",
    "prediction_record",
]
