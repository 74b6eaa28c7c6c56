"""The smallest study: a table of patients and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml


def write_study(
    path: Path, table: pd.DataFrame, columns: Mapping[str, tuple[str, str]], **cohort: Any
) -> None:
    """Writes a configuration, and its table as `patients.csv` beside it.

    Args:
        path: The configuration.
        table: `id`, `event` and the columns.
        columns: Group of each, and when it was measured.
        cohort: Further keys of that section.
    """
    table.to_csv(path.with_name("patients.csv"), index=False)
    source = {
        "kind": "table",
        "path": "patients.csv",
        "id": "id",
        "columns": {
            name: {"source": name, "kind": "numeric", "group": group, "measured": measured}
            for name, (group, measured) in columns.items()
        },
        "labels": {"event": "event"},
    }
    record = {
        "name": "tabular",
        "cohort": {
            "outcome": {"name": "event", "column": "event", "as_of_time": "diagnosis"},
            "linkage": "none",
            "sources": [source],
            **cohort,
        },
        "folds": {"n_folds": 2},
        "ablation": {
            "models": ["logistic_regression"],
            "arms": [],
            "bootstrap_draws": 200,
            "jobs": 1,
        },
    }
    path.write_text(yaml.safe_dump(record))
