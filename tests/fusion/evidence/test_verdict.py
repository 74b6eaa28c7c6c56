"""What may be claimed: each rule over the cases that are easily got wrong."""

from __future__ import annotations

import dataclasses

import pytest
from collect_example import make_cohort, make_run
from hypothesis import given
from hypothesis import strategies as st

from fusion.audit import AuditReport, Check, CheckResult, Hit
from fusion.evidence.leaderboard import leaderboard, simplest_within_tie
from fusion.evidence.verdict import (
    FEWEST,
    Measurements,
    Verdict,
    calibration_readings,
    find_verdict,
)
from fusion.metrics import Estimate
from fusion.metrics.cross_validated import PairedTest

NAN = float("nan")
NONE = Estimate(NAN, NAN, NAN)
HEAD, IMAGE, CLINICAL = "head[all]", "head[image]", "head[clinical]"
BOTH = ("image", "clinical")
RUN = make_run(make_cohort(20))
LEVEL, SLOPE = Estimate(0.02, -0.2, 0.2), Estimate(1.02, 0.9, 1.2)


@dataclasses.dataclass(frozen=True)
class Given:
    """An arm as a rule sees it."""

    arm: str
    modalities: tuple[str, ...]
    auroc: Estimate
    kind: str = "arm"
    level: Estimate = LEVEL
    slope: Estimate = SLOPE

    @property
    def model(self) -> str:
        return self.arm.split("[")[0]

    @property
    def metrics(self) -> dict[str, Estimate]:
        return {"auroc": self.auroc, "level": self.level, "slope": self.slope}


def around(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, value - half, value + half)


ARMS = (
    Given(HEAD, BOTH, around(0.84)),
    Given(IMAGE, ("image",), around(0.70)),
    Given(CLINICAL, ("clinical",), around(0.66)),
    Given("clinical_reference", ("clinical",), around(0.65), "reference"),
    Given("prevalence", (), Estimate(0.5, 0.5, 0.5), "floor"),
    Given("permuted_labels", BOTH, around(0.51), "floor"),
)


def judge(
    arms: tuple[Given, ...] = ARMS,
    half: float = 0.04,
    baseline: str = HEAD,
    rarer: int = 100,
    audit: AuditReport | None = None,
    p: float = 0.001,
    **run: object,
) -> Verdict:
    """The verdict where every paired difference has an interval of `half` on either side."""
    values = {arm.arm: arm.auroc.value for arm in arms}

    def against(one: str, other: str) -> PairedTest:
        delta = around(values[one] - values[other], half)
        return PairedTest(delta, p if delta.excludes(0) else 0.4)

    return find_verdict(
        Measurements(
            dataclasses.replace(RUN, **run),  # type: ignore[arg-type]
            audit,
            arms,
            baseline,
            "auroc",
            rarer,
            ("level", "slope"),
            against,
            lambda best: dict.fromkeys(values, 0.03),
        )
    )


def swapped(name: str, **changes: object) -> tuple[Given, ...]:
    return tuple(
        dataclasses.replace(arm, **changes) if arm.arm == name else arm  # type: ignore[arg-type]
        for arm in ARMS
    )


def audited(severity: str, name: str = "site", fired: bool = True) -> AuditReport:
    check = Check(name, f"Title of {name}", "", severity, "", lambda s: ())  # type: ignore[arg-type]
    hits = (Hit("found"),) if fired else ()
    silent = dataclasses.replace(check, name="other")
    return AuditReport(
        (
            CheckResult(check, "fired" if fired else "clear", hits),
            CheckResult(silent, "clear"),
            CheckResult(silent, "not_applicable"),
        )
    )


def names(verdict: Verdict) -> list[str]:
    return [obstacle.name for obstacle in verdict.obstacles]


def test_fusion_that_beats_every_single_modality_adds() -> None:
    verdict = judge(audit=audited("warning", fired=False))
    assert names(verdict) == []
    assert verdict.fusion is not None
    assert (verdict.fusion.reading, verdict.fusion.single) == ("adds", IMAGE)
    assert verdict.fusion.delta.value == pytest.approx(0.14)
    assert (verdict.best, verdict.among, verdict.recommended) == (HEAD, 4, HEAD)
    assert verdict.calibration.readings == ("calibrated",)
    assert verdict.audit is not None
    assert (verdict.audit.looked, verdict.audit.fired, verdict.audit.grave) == (2, 0, ())


@pytest.mark.parametrize(
    ("single", "half", "reading"),
    [
        (0.80, 0.05, "nothing"),  # the interval holds 0
        (0.80, 0.04, "nothing"),  # 0 is its end: that is not beyond it
        (0.80, 0.03, "adds"),
        (0.90, 0.05, "harms"),
        (0.90, 0.07, "nothing"),
        (0.80, NAN, "unknown"),
    ],
)
def test_a_gain_is_read_from_its_interval(single: float, half: float, reading: str) -> None:
    verdict = judge(swapped(IMAGE, auroc=around(single)), half)
    assert verdict.fusion is not None
    assert verdict.fusion.reading == reading


def test_the_clinical_reference_is_a_single_modality_to_beat() -> None:
    verdict = judge(swapped("clinical_reference", auroc=around(0.83)))
    assert verdict.fusion is not None
    assert (verdict.fusion.reading, verdict.fusion.single) == ("nothing", "clinical_reference")


def test_beating_the_best_alone_is_no_gain_over_all() -> None:
    """The best of several is chosen by looking: a claim needs every one of them beaten."""
    values = {HEAD: 0.84, IMAGE: 0.70, CLINICAL: 0.69}
    wide = {CLINICAL: 0.2}

    def against(one: str, other: str) -> PairedTest:
        delta = around(values[one] - values[other], wide.get(other, 0.04))
        return PairedTest(delta, 0.001 if delta.excludes(0) else 0.1)

    verdict = find_verdict(
        Measurements(RUN, None, ARMS[:3], HEAD, "auroc", 90, ("level", "slope"), against,
                     lambda best: {})
    )  # fmt: skip
    assert verdict.fusion is not None
    assert verdict.fusion.reading == "not_over_all"
    assert verdict.fusion.unbeaten == (CLINICAL,)
    assert verdict.fusion.p == 0.1


def test_fused_arms_that_are_chosen_by_looking_are_adjusted_for() -> None:
    more = tuple(Given(f"m{k}[all]", BOTH, around(0.83)) for k in range(5))
    chosen = judge((*ARMS, *more), baseline=CLINICAL, p=0.02)
    assert chosen.fusion is not None
    assert (chosen.fusion.looked_at, chosen.fusion.p) == (6, pytest.approx(0.12))
    assert (chosen.fusion.reading, chosen.subject) == ("only_unadjusted", HEAD)
    planned = judge((*ARMS, *more), baseline=HEAD, p=0.02)
    assert planned.fusion is not None
    assert (planned.fusion.looked_at, planned.fusion.reading) == (1, "adds")


def test_one_modality_asks_for_no_fusion() -> None:
    verdict = judge(ARMS[2:], baseline=CLINICAL)
    assert verdict.fusion is None
    assert verdict.subject == CLINICAL
    alone = judge(ARMS[:1])
    assert (alone.fusion, alone.best, alone.among, names(alone)) == (None, HEAD, 1, [])


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ({"audit": audited("invalidates")}, ["audit"]),
        ({"audit": audited("warning")}, []),
        ({"audit": audited("warning", "too_good")}, ["above_literature"]),
        ({"audit": audited("warning", "too_concordant")}, ["above_literature"]),
        ({"linkage": "label_matched"}, ["label_matched"]),
        ({"synthetic": True}, ["synthetic"]),
        ({"rarer": FEWEST - 1}, ["few_events"]),
        ({"rarer": FEWEST}, []),
        ({"arms": swapped(HEAD, auroc=NONE)}, ["undefined"]),
        ({"arms": swapped(HEAD, auroc=Estimate(0.8, NAN, NAN))}, ["undefined"]),
        ({"arms": swapped("permuted_labels", auroc=around(0.9))}, ["floor"]),
        ({"arms": swapped("permuted_labels", auroc=around(0.84))}, ["floor"]),
        ({"arms": ARMS[4:], "baseline": "prevalence"}, ["floor"]),
        ({"arms": swapped(HEAD, auroc=around(0.54))}, ["chance"]),
        ({"arms": swapped(HEAD, auroc=around(0.55, 0.05))}, ["chance"]),
        (
            {"audit": audited("invalidates"), "synthetic": True, "rarer": 3},
            ["audit", "synthetic", "few_events"],
        ),
    ],
)
def test_obstacles_take_every_claim_away(made: dict[str, object], found: list[str]) -> None:
    verdict = judge(**made)  # type: ignore[arg-type]
    assert names(verdict) == found
    assert (verdict.recommended is None) == bool({*found} - {"synthetic"})


@pytest.mark.parametrize(
    ("level", "slope", "readings"),
    [
        (around(0.0, 0.2), around(1.0, 0.2), ("calibrated",)),
        (around(0.0, 0.2), around(1.0, 0.6), ("unclear",)),  # nobody knows is not calibrated
        (around(0.0, 0.8), around(1.0, 0.2), ("unclear",)),
        (around(0.4, 0.2), around(1.0, 0.2), ("underestimates",)),
        (around(-0.4, 0.2), around(0.6, 0.2), ("overestimates", "too_extreme")),
        (around(0.0, 0.2), around(1.8, 0.2), ("too_moderate",)),
        (around(0.0, 0.2), NONE, ("unknown",)),
    ],
)
def test_calibration_is_said_of_intervals(
    level: Estimate, slope: Estimate, readings: tuple[str, ...]
) -> None:
    assert calibration_readings(level, slope) == readings


def test_the_simplest_arm_within_a_tie_of_the_best() -> None:
    tie = dict.fromkeys((arm.arm for arm in ARMS), 0.02)
    close = swapped(IMAGE, auroc=around(0.825))
    assert simplest_within_tie(close, "auroc", close[0], tie).arm == IMAGE
    assert simplest_within_tie(ARMS, "auroc", ARMS[0], tie) is ARMS[0]
    assert simplest_within_tie(close, "auroc", close[0], {IMAGE: NAN}) is close[0]
    chance = swapped("clinical_reference", auroc=around(0.83, 0.4))
    assert simplest_within_tie(chance, "auroc", chance[0], tie) is chance[0]
    floor = swapped("prevalence", auroc=around(0.84))
    assert simplest_within_tie(floor, "auroc", floor[0], tie) is floor[0]
    trees = Given("lightgbm[all]", BOTH, around(0.83))
    assert simplest_within_tie((*ARMS, trees), "auroc", ARMS[0], tie | {trees.arm: 0.02}) is trees


@given(st.lists(st.floats(0, 1) | st.just(NAN), min_size=1, max_size=8))
def test_a_leaderboard_keeps_every_arm(values: list[float]) -> None:
    kinds = ("arm", "reference", "floor")
    arms = [
        Given(f"a{k}", (), Estimate(value, value, value), kinds[k % 3])
        for k, value in enumerate(values)
    ]
    ranked = leaderboard(arms, "auroc")
    assert sorted(arm.arm for arm in ranked) == sorted(arm.arm for arm in arms)
    floors = [arm.kind == "floor" for arm in ranked]
    assert floors == sorted(floors)
    for floor in (False, True):
        own = [a.auroc.value for a in ranked if (a.kind == "floor") is floor]
        known = [value for value in own if value == value]
        assert known == sorted(known, reverse=True)
        assert own[: len(known)] == known
