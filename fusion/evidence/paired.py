"""The same arm in two runs, paired: under the same draws, on the same patients and folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from featurestore.cohort import groups_of, patient_groups
from fusion.endpoints import find_endpoint
from fusion.evidence.aligned import align
from fusion.evidence.inputs import ReportInputs
from fusion.evidence.saved import FinishedRun
from fusion.evidence.scoring import Sample, sample_arms
from fusion.evidence.survival.measures import measures
from fusion.evidence.survival.predictions import align_times
from fusion.evidence.survival.scoring import score_arms as score_times
from fusion.evidence.survival.support import find_support
from fusion.evidence.types import Difference
from fusion.metrics import holm

_KEYS = ["repeat", "fold", "patient_id"]


@dataclasses.dataclass(frozen=True)
class RunDifference:
    """One arm of one run minus the same arm of the first run.

    Attributes:
        run: Place of the run among those that are compared.
        arm: Name of the arm.
        differences: By metric; Holm adjusts over the arms of the run, without floors.
    """

    run: int
    arm: str
    differences: Mapping[str, Difference]


def comparable(first: FinishedRun, other: FinishedRun) -> bool:
    """Whether differences between two runs can be paired.

    They are where patients, what is known of their outcome, folds, and the groups that are drawn
    together are the same.
    """
    if first.inputs is None or other.inputs is None:
        return False
    digests = [(run.patients_digest, run.folds_digest) for run in (first, other)]
    outcomes = {run.evidence.run.outcome_definition for run in (first, other)}
    return digests[0] == digests[1] and len(outcomes) == 1 and _groups(first) == _groups(other)


def identical_arms(first: FinishedRun, other: FinishedRun) -> tuple[str, ...]:
    """Arms whose predictions are the same, to the last bit, in two runs."""
    if first.predictions is None or other.predictions is None:
        return ()
    mine, others = _by_arm(first.predictions), _by_arm(other.predictions)
    return tuple(
        name for name, rows in mine.items() if name in others and rows.equals(others[name])
    )


def paired_differences(runs: Sequence[FinishedRun]) -> tuple[RunDifference, ...]:
    """Every arm of every further run minus the same arm of the first one.

    Draws are those of the first run: the bootstrap over patients, and widened for training, as of
    differences inside a run (`fusion.metrics.cross_validated`).

    Args:
        runs: Those that are no match for the first, and arms that are identical, are left out.
    """
    found: list[RunDifference] = []
    for place, other in enumerate(runs[1:], start=1):
        if comparable(runs[0], other):
            found += _differences(runs[0], other, place)
    return tuple(found)


def _differences(first: FinishedRun, other: FinishedRun, place: int) -> list[RunDifference]:
    same = set(identical_arms(first, other))
    known = {arm.arm: arm.kind for arm in first.evidence.arms}
    names = [a.arm for a in other.evidence.arms if a.arm in known and a.arm not in same]
    if not names:
        return []
    rows = [_renamed(run, names, k) for k, run in enumerate((first, other))]
    samples = _SAMPLES[first.evidence.endpoint](pd.concat(rows), first, _name(0, names[0]))
    tested = find_endpoint(first.evidence.endpoint).tested
    by_metric: dict[str, dict[str, Difference]] = {}
    family = [name for name in names if known[name] != "floor"]
    for metric in (m for m in tested if m in samples[_name(0, names[0])]):
        tests = {
            name: samples[_name(1, name)][metric].against(samples[_name(0, name)][metric])
            for name in names
        }
        held = dict(zip(family, holm([tests[name].p for name in family]), strict=True))
        by_metric[metric] = {n: Difference(t.estimate, t.p, held.get(n)) for n, t in tests.items()}
    return [
        RunDifference(place, name, {metric: own[name] for metric, own in by_metric.items()})
        for name in names
    ]


def _samples_binary(
    predictions: pd.DataFrame, first: FinishedRun, baseline: str
) -> dict[str, dict[str, Sample]]:
    aligned = align(predictions, baseline)
    clusters = groups_of(aligned.patient_ids, _groups(first))
    tested = find_endpoint("binary").tested
    return sample_arms(aligned, clusters, tested, _inputs(first).draws, _inputs(first).seed)


def _samples_times(
    predictions: pd.DataFrame, first: FinishedRun, baseline: str
) -> dict[str, dict[str, Sample]]:
    aligned = align_times(predictions, baseline)
    tested = find_endpoint("time_to_event").tested
    asked = [one for one in measures(aligned, find_support(aligned)) if one.name in tested]
    clusters = groups_of(aligned.patient_ids, _groups(first))
    scores = score_times(aligned, asked, clusters, _inputs(first).draws, _inputs(first).seed)
    return {name: dict(own.metrics) for name, own in scores.items()}


_SAMPLES: Mapping[str, Callable[[pd.DataFrame, FinishedRun, str], dict[str, dict[str, Sample]]]] = {
    "binary": _samples_binary,
    "time_to_event": _samples_times,
}
"""By kind of the endpoint."""


def _renamed(run: FinishedRun, names: Sequence[str], k: int) -> pd.DataFrame:
    assert run.predictions is not None
    rows = run.predictions[run.predictions["arm"].isin(names)]
    return rows.assign(run="", arm=[_name(k, arm) for arm in rows["arm"]])


def _name(k: int, arm: str) -> str:
    return f"{k} {arm}"


def _by_arm(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = predictions.drop(columns="run").sort_values(["arm", *_KEYS])
    return {str(name): own.reset_index(drop=True) for name, own in rows.groupby("arm", sort=False)}


def _groups(run: FinishedRun) -> dict[str, str]:
    cohort = _inputs(run).cohort
    return patient_groups(cohort.patients, cohort.images)


def _inputs(run: FinishedRun) -> ReportInputs:
    assert run.inputs is not None
    return run.inputs
