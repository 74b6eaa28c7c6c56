"""The baseline among parts of the patients, under censoring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featurestore.cohort import Cohort
from fusion.evidence.scoring import Sample
from fusion.evidence.subgroups import LEAST, Part, Subgroup, parts_of
from fusion.evidence.survival.measures import Measure
from fusion.evidence.survival.predictions import AlignedTimes, ArmTimes
from fusion.evidence.survival.scoring import Stage
from fusion.metrics import Estimate, in_chunks
from fusion.metrics.survival import Times


def subgroups(
    cohort: Cohort,
    aligned: AlignedTimes,
    arm: str,
    asked: Sequence[Measure],
    clusters: np.ndarray,
    weights: np.ndarray,
    columns: Sequence[str] | None = None,
) -> tuple[Subgroup, ...]:
    """Scores one arm by subgroup, under the draws that all other intervals share.

    Weights of censoring are those of everybody. A subgroup has no numbers with fewer than `LEAST`
    events that count, or fewer than `LEAST` others who are known to be free of it then.

    Args:
        cohort: Whose patients are parted.
        aligned: Predictions.
        arm: Name of the arm.
        asked: The metrics.
        clusters: Cluster of each patient. Shape (patients,).
        weights: Shape (draws, patients).
        columns: As for `fusion.evidence.subgroups.subgroups`.

    Raises:
        ConfigError: A named column is not in the cohort.
    """
    times, event = aligned.times, aligned.times.event == 1
    parts = parts_of(cohort, aligned.patient_ids, columns)
    large = [part for part in parts if _enough(times, part, asked)]
    scored = _scored(times, aligned[arm], large, asked, clusters, weights) if large else {}
    return tuple(
        Subgroup(
            part.name,
            part.column,
            part.level,
            part.n,
            int(event[part.member].sum()),
            scored.get((part.name, part.level), {}),
        )
        for part in parts
    )


def _enough(times: Times, part: Part, asked: Sequence[Measure]) -> bool:
    own = times.take(part.member)
    until = min(measure.until for measure in asked)
    cases = (own.event == 1) & (own.time <= until) & (own.entry < until)
    others = (own.time > until) & (own.entry < until)
    return bool(min(cases.sum(), others.sum()) >= LEAST)


def _scored(
    times: Times,
    arm: ArmTimes,
    parts: Sequence[Part],
    asked: Sequence[Measure],
    clusters: np.ndarray,
    weights: np.ndarray,
) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Estimates by name of the metric, for each part by name and level."""
    drawn: dict[tuple[str, str, str], list[np.ndarray]] = {
        (p.name, p.level, m.name): [] for p in parts for m in asked
    }
    whole = Stage(times, None)
    for chunk in in_chunks(weights):
        stage = Stage(times, chunk)
        for part in parts:
            for measure in asked:
                drawn[part.name, part.level, measure.name].append(
                    _of(arm, stage, measure, chunk * part.member)
                )
    found = {}
    for part in parts:
        own, within = times.take(part.member), clusters[part.member]
        units = {m.name: m.units(own, within) for m in asked}
        found[part.name, part.level] = {
            m.name: Sample(
                _of(arm, whole, m, part.member[None].astype(float))[:, 0],
                np.concatenate(drawn[part.name, part.level, m.name], axis=1),
                arm.folds,
                units[m.name],
                units[m.name] if m.share else None,
                m.bounded,
            ).estimate
            for m in asked
        }
    return found


def _of(arm: ArmTimes, stage: Stage, measure: Measure, weights: np.ndarray) -> np.ndarray:
    """Shape (repeats, draws)."""
    return np.array([measure.of(stage.scene(part, weights)) for part in arm.repeats])
