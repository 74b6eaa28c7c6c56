"""Which collector makes the evidence of which kind of endpoint; a line a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from fusion.evidence.collect import collect_binary
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.survival import collect_times
from fusion.evidence.types import Evidence

COLLECTORS: Mapping[str, Callable[[ReportInputs, pd.DataFrame], Evidence]] = {
    "binary": collect_binary,
    "time_to_event": collect_times,
}
"""By kind of the endpoint."""


def collect(inputs: ReportInputs, predictions: pd.DataFrame) -> Evidence:
    """Collects the evidence of a run; reports only render it.

    Args:
        inputs: What was run, on which cohort, and what else its report is made from.
        predictions: The predictions table; row order means nothing.

    Raises:
        DataError: The predictions are not of this cohort, not of one run, of different patients
            for different arms, or lack the baseline.
    """
    return COLLECTORS[inputs.cohort.outcome.kind](inputs, predictions)
