"""Scores of new patients by a bundle."""

from fusion.predict.cases import Case, Flag, Picture
from fusion.predict.predictor import Predictor
from fusion.predict.result import Prediction, Score, prediction_record

__all__ = ["Case", "Flag", "Picture", "Prediction", "Predictor", "Score", "prediction_record"]
