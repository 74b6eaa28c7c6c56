"""Added value among patients whom the clinical reference cannot tell apart."""

from __future__ import annotations

import dataclasses
import heapq

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from featurestore.cohort import Cohort
from fusion.evidence.aligned import REFERENCES, AlignedPredictions, ArmPredictions
from fusion.evidence.among import sample_among
from fusion.metrics import Estimate, draw_weights, in_chunks
from fusion.metrics.cross_validated import cross_validated_interval
from fusion.models import reference_columns

CALIPER = 0.05
"""Largest distance of a pair, in standard deviations of the reference's log odds. The usual 0.2
(Austin 2011) removes confounding of means; here it left the patient with the outcome with the
higher score in two of three pairs."""

LEAST_PAIRS = 20


@dataclasses.dataclass(frozen=True)
class MatchedResult:
    """One arm among matched pairs.

    Attributes:
        arm: Name of the arm.
        concordance: Share of pairs whose patient with the outcome has the higher score, ties count
            half; without interval for the reference, whose share the matching made.
        everyone: AUROC among all patients with the reference's columns, which is the same share of
            all pairs.
    """

    arm: str
    concordance: Estimate
    everyone: Estimate


@dataclasses.dataclass(frozen=True)
class Matched:
    """Patients with the outcome, each beside one without it whom the reference rates alike.

    Attributes:
        basis: What the pairs are alike in.
        pairs: Their number.
        eligible: Patients with the outcome who have the columns.
        caliper: Largest distance of a pair, in standard deviations of the log odds.
        results: The clinical reference first (which should have about 0.5), then the other arms on
            all modalities.
    """

    basis: str
    pairs: int
    eligible: int
    caliper: float
    results: tuple[MatchedResult, ...]


def matched(
    cohort: Cohort, aligned: AlignedPredictions, clusters: np.ndarray, draws: int, seed: int
) -> Matched | None:
    """Pairs patients by the out-of-fold log odds of the clinical reference and scores all arms.

    One event and one non-event, at most `CALIPER` apart, the closest first (prognostic-score
    matching: Hansen 2008). Matching as many as possible would reach for partners on the far side
    of the caliper, where those with the outcome score higher. Only patients whose columns of the
    reference are all known take part. Scores are compared within pairs: across them a score that
    follows the reference would be judged by differences between pairs. The idea: Brinker et al.
    2021, where an image's AUROC fell from 0.62 to 0.55 among patients matched on age, ulceration
    and thickness.

    Args:
        cohort: The cohort.
        aligned: Predictions.
        clusters: Cluster of each patient; pairs that share one are drawn together. Shape
            (patients,).
        draws: Bootstrap draws, of the pairs as they were matched.
        seed: Of the draws.

    Returns:
        None without clinical reference, or with fewer than `LEAST_PAIRS` pairs.
    """
    columns = reference_columns(cohort.dictionary)
    reference = next((a for a in aligned.arms if a.model in REFERENCES), None)
    if columns is None or reference is None:
        return None
    patients = cohort.patients.set_index("patient_id").loc[aligned.patient_ids]
    known = patients[list(columns.names)].notna().all(axis=1).to_numpy()
    complete = np.flatnonzero(known)
    y = aligned.y[complete]
    score = np.mean([repeat.score for repeat in reference.repeats], axis=0)[complete]
    if not 0 < y.sum() < len(y):
        return None
    pairs = complete[closest_pairs(score, y, CALIPER * float(np.std(score)))]
    if len(pairs) < LEAST_PAIRS:
        return None
    tied = _tied(clusters[pairs])
    among = draw_weights(tied, draws, seed)
    over = draw_weights(clusters, draws, seed)
    widest = max((len(a.modalities) for a in aligned.arms if a.kind == "arm"), default=0)
    shown = [a for a in aligned.arms if a.kind == "arm" and len(a.modalities) == widest]
    results = []
    for arm in (reference, *shown):
        within = _concordance(arm, pairs, tied, among)
        if arm is reference or len(np.unique(tied)) < LEAST_PAIRS:
            within = Estimate(within.value, float("nan"), float("nan"))
        everyone = sample_among(aligned.y, arm, "auroc", known, over, clusters)
        results.append(MatchedResult(arm.arm, within, everyone.estimate))
    return Matched(columns.basis, len(pairs), int(y.sum()), CALIPER, tuple(results))


def closest_pairs(score: np.ndarray, y: np.ndarray, caliper: float) -> np.ndarray:
    """Pairs one event with one non-event, the closest first, until none is within the caliper.

    On a line the closest such pair are neighbours, so a heap of neighbours finds it.

    Args:
        score: Shape (n,).
        y: Outcomes, 0.0 or 1.0. Shape (n,).
        caliper: Largest distance of a pair.

    Returns:
        Positions of the event and of the other; integers, shape (pairs, 2).
    """
    order = np.lexsort((y, score))
    ranked, label = score[order], y[order]
    before, after = np.arange(len(order)) - 1, np.arange(len(order)) + 1
    heap: list[tuple[float, int, int]] = []

    def offer(left: int, right: int) -> None:
        if left < 0 or right >= len(order) or label[left] == label[right]:
            return
        distance = float(ranked[right] - ranked[left])
        if distance <= caliper:
            heapq.heappush(heap, (distance, left, right))

    for place in range(len(order) - 1):
        offer(place, place + 1)
    taken = np.zeros(len(order), dtype=bool)
    found: list[tuple[int, int]] = []
    while heap:
        _, left, right = heapq.heappop(heap)
        if taken[left] or taken[right]:
            continue
        taken[[left, right]] = True
        event, other = (left, right) if label[left] == 1 else (right, left)
        found.append((order[event], order[other]))
        outer = int(before[left]), int(after[right])
        if outer[0] >= 0:
            after[outer[0]] = outer[1]
        if outer[1] < len(order):
            before[outer[1]] = outer[0]
        offer(*outer)
    return np.array(sorted(found), dtype=int).reshape(-1, 2)


def _concordance(
    arm: ArmPredictions, pairs: np.ndarray, tied: np.ndarray, weights: np.ndarray
) -> Estimate:
    """Share of the pairs whose event scores higher, ties half, over draws of the pairs."""
    gaps = [repeat.score[pairs[:, 0]] - repeat.score[pairs[:, 1]] for repeat in arm.repeats]
    higher = np.array([(gap > 0) + 0.5 * (gap == 0) for gap in gaps])  # (repeats, pairs)
    drawn = [higher @ w.T / w.sum(axis=1) for w in in_chunks(weights)]
    units = len(np.unique(tied))
    return cross_validated_interval(
        higher.mean(axis=1), np.concatenate(drawn, axis=1), arm.dependent_folds, units, units, True
    )


def _tied(members: np.ndarray) -> np.ndarray:
    """Number of the set of pairs that each pair hangs together with through clusters.

    Args:
        members: Clusters of the two patients. Shape (pairs, 2).
    """
    names, cluster = np.unique(members.astype(str), return_inverse=True)
    first, second = cluster.reshape(members.shape).T
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(names), len(names)))
    return np.asarray(connected_components(links, directed=False)[1][first])
