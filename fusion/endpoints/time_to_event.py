"""Outcomes that come with time, under observation that ends before all have come."""

from __future__ import annotations

from fusion.endpoints.base import Endpoint

TIME_TO_EVENT = Endpoint(
    kind="time_to_event",
    predictions={
        "event": "int64",
        "time": "float64",
        "entry": "float64",
        "score": "float64",
        "risk_group": "int64",
    },
    headline="uno_c",
    tested=("uno_c", "integrated_brier"),
    models=("fusion_head", "lightgbm"),
    arms=("cox_ridge", "rank_average"),
    clinical_reference="clinical_reference",
    floors=("kaplan_meier", "permuted_labels"),
    loss="cox",
    sections=("risk_groups", "auc_over_time", "brier_over_time", "calibration", "decision"),
    exported={
        "score": ("lhr", "Log hazard ratio"),
        "risk_group": ("rg", "Risk group"),
    },
    by_horizon="risk_at_",
)
