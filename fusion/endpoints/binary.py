"""Outcomes that are there or not, whenever they came."""

from __future__ import annotations

from fusion.endpoints.base import Endpoint

BINARY = Endpoint(
    kind="binary",
    predictions={
        "y": "int64",
        "score": "float64",
        "probability": "float64",
        "threshold": "float64",
    },
    headline="auroc",
    tested=("auroc", "auprc", "brier"),
    models=("fusion_head", "lightgbm"),
    arms=("logistic_regression", "rank_average"),
    clinical_reference="clinical_reference",
    floors=("prevalence", "permuted_labels"),
    loss="binary_cross_entropy",
    sections=("roc", "precision_recall", "calibration", "decision"),
    exported={
        "probability": ("p", "Predicted probability"),
        "score": ("lp", "Linear predictor"),
    },
    lends_by_label=True,
    imputes=True,
    tunes_encoders=True,
)
