"""What a kind of endpoint is: the names of everything that is done with its outcomes.

The floors above look their own part up by these names, so a kind is registered in one place and
nothing else asks which kind it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One kind of endpoint.

    Attributes:
        kind: Kind of the outcome that it is for.
        predictions: Columns of the predictions table beside the keys of a row, with their types:
            what is known of the patient, then what is predicted.
        by_horizon: Beginning of further such columns, one a horizon of the outcome and ending in
            its days, all of float64; empty where there are none.
        lends_by_label: Whether patients can lend their rows to others of the same outcome, as
            label-matched studies do and the linkage ladder shows.
        imputes: Whether cheap models are also fitted on several imputations.
        tunes_encoders: Whether encoders can be fine-tuned on it.
        headline: Metric that arms are ranked and shown by; higher is better.
        tested: Metrics whose differences get an interval and a p, the headline first.
        models: Models fitted on each subset of modalities where the configuration names none.
        arms: Models of the further arms, on all modalities, where it names none.
        clinical_reference: Model of what a clinician knows without any other.
        floors: Models that know nothing, in the order of the table.
        loss: Loss of networks (`fusion.models.losses`).
        sections: Sections of the report about the arms' numbers, in order.
        exported: Per predictions column that is exported for each arm: prefix of the variable's
            name, and its label.
    """

    kind: str
    predictions: Mapping[str, str]
    headline: str
    tested: tuple[str, ...]
    models: tuple[str, ...]
    arms: tuple[str, ...]
    clinical_reference: str
    floors: tuple[str, ...]
    loss: str
    sections: tuple[str, ...]
    exported: Mapping[str, tuple[str, str]]
    by_horizon: str = ""
    lends_by_label: bool = False
    imputes: bool = False
    tunes_encoders: bool = False

    def horizon_columns(self, horizons: Sequence[float]) -> list[str]:
        """Names of the columns that predictions have for these horizons, in days."""
        return [f"{self.by_horizon}{days:g}" for days in horizons] if self.by_horizon else []
