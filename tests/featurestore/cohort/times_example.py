"""A small table of times, and how a cohort is built of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featurestore.cohort.assemble import CohortConfig, build_cohort
from featurestore.cohort.tables import Cohort
from featurestore.config import validate
from featurestore.sources.base import ReadContext

# 1 relapse, 2 death without one; the last row has no state.
ROWS = (
    "a,1,400,0,50\nb,0,2000,0,60\nc,2,900,0,70\nd,1,1500,300,40\ne,0,1000,0,55\n"
    "f,1,100,0,65\ng,0,2500,0,45\nh,,700,0,50\n"
)
OUTCOME: dict[str, Any] = {
    "name": "relapse_free",
    "kind": "time_to_event",
    "time": "t",
    "event": {"column": "state", "positive": [1]},
    "competing": {"column": "state", "positive": [2]},
    "entry": "seen_from",
    "time_zero": "resection",
    "horizons": ["2y"],
}


def times_cohort(folder: Path, rows: str = ROWS, **changes: Any) -> Cohort:
    """The cohort of the rows, with an outcome that differs as is said."""
    (folder / "t.csv").write_text("id,state,t,seen_from,age\n" + rows, encoding="utf-8")
    columns = {c: c for c in ("state", "t", "seen_from")}
    source = {
        "kind": "table",
        "path": "t.csv",
        "id": "id",
        "labels": columns,
        "columns": {"age": {"source": "age"}},
    }
    outcome = {**OUTCOME, **changes}
    config = validate(CohortConfig, {"sources": [source], "outcome": outcome}, "config")
    return build_cohort(config, "test", ReadContext(folder, folder / "scratch"))
