"""Matched pairs are alike in the reference's eyes, and arms are judged within them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import logit

from featurestore.cohort.tables import Cohort
from fusion.evidence.aligned import AlignedPredictions, ArmPredictions
from fusion.evidence.matched import CALIPER, closest_pairs, matched


def test_the_reference_says_nothing_within_pairs_and_others_keep_what_is_theirs(
    large: Cohort, aligned: AlignedPredictions
) -> None:
    found = matched(large, aligned, aligned.patient_ids, 500, 0)
    assert found is not None
    assert found.pairs >= 40
    assert found.caliper == CALIPER
    reference, *others = found.results
    by_arm = {r.arm: r for r in others}
    assert reference.arm == "clinical_reference"
    assert reference.everyone.low > 0.5
    assert abs(reference.concordance.value - 0.5) < 0.1
    assert np.isnan(reference.concordance.low), "its share was made by the matching"
    assert by_arm["head[all]"].concordance.low > 0.6


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_a_strong_reference_does_not_leave_events_on_the_upper_side(strength: float) -> None:
    """The closer the pairs of 4,000 patients, the nearer to one half; SD of a share of n is known.

    Optimal matching with the usual caliper of 0.2 gives 0.70 to 0.89 here.
    """
    rng = np.random.default_rng(0)
    score = rng.normal(size=4000) * strength
    y = (rng.random(4000) < 1 / (1 + np.exp(1.0 - 2 * score))).astype(float)
    pairs = closest_pairs(score, y, CALIPER * score.std())
    assert len(pairs) > 300
    gap = score[pairs[:, 0]] - score[pairs[:, 1]]
    assert np.abs(gap).max() <= CALIPER * score.std()
    assert abs((gap > 0).mean() - 0.5) < 3.5 * 0.5 / np.sqrt(len(pairs))


def test_pairs_are_those_of_plain_greedy_matching() -> None:
    rng = np.random.default_rng(1)
    score, y = rng.normal(size=120).round(2), (rng.random(120) < 0.4).astype(float)
    pairs = closest_pairs(score, y, 0.1)
    assert (y[pairs[:, 0]] == 1).all()
    assert (y[pairs[:, 1]] == 0).all()
    assert len(np.unique(pairs)) == pairs.size, "nobody stands in two pairs"
    free = set(range(120))
    distances = []
    while True:
        events = [k for k in free if y[k] == 1]
        others = [k for k in free if y[k] == 0]
        gap, one, two = min((abs(score[e] - score[o]), e, o) for e in events for o in others)
        if gap > 0.1:
            break
        distances.append(gap)
        free -= {one, two}
    found = sorted(np.abs(score[pairs[:, 0]] - score[pairs[:, 1]]))
    # Ties may be broken otherwise, so that a pair more or less is found; distances are the same.
    assert abs(len(found) - len(distances)) <= 2
    np.testing.assert_allclose(found[:30], distances[:30])


def test_equal_scores_of_all_are_ties_and_no_memory_of_events_times_others() -> None:
    y = np.tile([1.0, 0.0, 0.0], 20_000)
    pairs = closest_pairs(np.zeros(60_000), y, 0.0)
    assert len(pairs) == 20_000


def test_pairs_that_share_a_cluster_are_drawn_together(
    large: Cohort, aligned: AlignedPredictions
) -> None:
    alone = matched(large, aligned, aligned.patient_ids, 500, 0)
    ten = np.array([f"C{k % 10}" for k in range(len(aligned.patient_ids))], dtype=object)
    tied = matched(large, aligned, ten, 500, 0)
    assert alone is not None
    assert tied is not None
    for one, other in zip(alone.results[1:], tied.results[1:], strict=True):
        assert one.concordance.value == other.concordance.value
        assert one.everyone.low != other.everyone.low
    head = tied.results[1].concordance
    assert np.isnan(head.low), "all pairs hang together: nothing can be drawn"


def test_repeats_are_averaged(large: Cohort, aligned: AlignedPredictions) -> None:
    """A second repeat that ranks the other way round leaves one half of each pair."""

    def both(arm: ArmPredictions) -> ArmPredictions:
        (first,) = arm.repeats
        other = dataclasses.replace(first, repeat=1, score=-first.score)
        second = first if arm.model == "clinical_reference" else other
        return dataclasses.replace(arm, repeats=(first, second))

    twice = dataclasses.replace(aligned, arms=tuple(both(arm) for arm in aligned.arms))
    found = matched(large, twice, aligned.patient_ids, 100, 0)
    assert found is not None
    for result in found.results[1:]:
        assert result.concordance.value == pytest.approx(0.5)
        assert result.everyone.value == pytest.approx(0.5)


def test_intervals_are_widened_for_training(large: Cohort, aligned: AlignedPredictions) -> None:
    """One repeat: twice the variance of the bootstrap, against the same arm held fixed."""
    found = matched(large, aligned, aligned.patient_ids, 500, 0)
    held = dataclasses.replace(
        aligned,
        arms=tuple(
            dataclasses.replace(
                arm,
                repeats=tuple(dataclasses.replace(r, fold=r.fold * 0) for r in arm.repeats),
            )
            for arm in aligned.arms
        ),
    )
    plain = matched(large, held, aligned.patient_ids, 500, 0)
    assert found is not None
    assert plain is not None
    for wide, narrow in zip(found.results[1:], plain.results[1:], strict=True):
        for one, other in (
            (wide.concordance, narrow.concordance),
            (wide.everyone, narrow.everyone),
        ):
            assert one.method == "bound"
            assert other.method == "percentile"
            assert one.value == other.value
            for end, before in ((one.low, other.low), (one.high, other.high)):
                stretch = (logit(end) - logit(one.value)) / (logit(before) - logit(one.value))
                assert np.sqrt(2) < stretch < 1.55, "and Student's t beside the normal"


def test_without_a_reference_nothing_is_matched(large: Cohort, aligned: AlignedPredictions) -> None:
    bare = dataclasses.replace(
        aligned, arms=tuple(a for a in aligned.arms if a.model != "clinical_reference")
    )
    assert matched(large, bare, aligned.patient_ids, 200, 0) is None
