"""What a bundle holds of each kind of outcome; a line a kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from featurestore.cohort import Cohort
from featurestore.errors import DataError
from fusion.arms import Arm
from fusion.bundle.codecs_binary import calibration_state
from fusion.bundle.record import (
    ModelRecord,
    OutcomeRecord,
    TimesModelRecord,
    TimesOutcomeRecord,
)
from fusion.config import AblationConfig
from fusion.evidence import Evidence
from fusion.evidence.survival import SurvivalEvidence
from fusion.models import calibrate, chosen_calibration, inner_threshold, rule_text
from fusion.models.survival import cut_points

Decided = dict[str, Any]
"""What was decided on inner data: fields of the record of a model."""


@dataclasses.dataclass(frozen=True)
class BundledKind:
    """One kind of outcome.

    Attributes:
        decide: What follows a fit, on inner predictions only.
        model: Record of a fitted arm; takes what `decide` gives.
        outcome: Record of the outcome, of the cohort and of what its study found.
        format: Version of the layout.
    """

    decide: Callable[[Arm, Any, AblationConfig], Decided]
    model: type[ModelRecord] | type[TimesModelRecord]
    outcome: Callable[[Cohort, Evidence], OutcomeRecord | TimesOutcomeRecord]
    format: int


def _decide_binary(arm: Arm, model: Any, config: AblationConfig) -> Decided:
    calibration = calibrate(model.inner_, chosen_calibration(arm.model, config))
    return {
        "calibration": calibration_state(calibration.method, calibration.fitted),
        "threshold": inner_threshold(calibration.inner, config.threshold),
        "threshold_rule": f"{rule_text(config.threshold)} on inner predictions",
    }


def _decide_times(arm: Arm, model: Any, config: AblationConfig) -> Decided:
    inner = model.inner_
    cuts = cut_points(inner.patient_ids, inner.score, config.risk_groups)
    how = "thirds" if config.risk_groups is None else "quantiles"
    return {
        "cut_points": tuple(map(float, cuts)),
        "cut_rule": f"{how} of the log hazard ratios of inner predictions",
    }


def _facts(evidence: Evidence) -> dict[str, Any]:
    run = evidence.run
    return {
        "name": run.outcome_name,
        "definition": run.outcome_definition,
        "unit": run.unit,
        "as_of": run.as_of,
        "caveats": run.caveats,
    }


def _binary_outcome(cohort: Cohort, evidence: Evidence) -> OutcomeRecord:
    return OutcomeRecord(**_facts(evidence))


def _times_outcome(cohort: Cohort, evidence: Evidence) -> TimesOutcomeRecord:
    assert isinstance(evidence, SurvivalEvidence)
    followed, supported = evidence.follow_up, evidence.horizons
    if not supported:
        raise DataError(
            "follow-up supports none of the horizons, so there is no risk that a bundle could "
            "give; name shorter ones as cohort.outcome.horizons"
        )
    return TimesOutcomeRecord(
        **_facts(evidence),
        time_zero=cohort.outcome.time_zero,
        horizons=tuple(sorted(map(float, supported))),
        unsupported=tuple(sorted(h.days for h in followed.horizons if h.beyond)),
        known_until=followed.last,
        competing=evidence.competing,
        late_entry=followed.late > 0,
    )


BUNDLED: Mapping[str, BundledKind] = {
    "binary": BundledKind(_decide_binary, ModelRecord, _binary_outcome, 1),
    "time_to_event": BundledKind(_decide_times, TimesModelRecord, _times_outcome, 3),
}
"""By kind of the outcome (`fusion.endpoints`)."""
