"""Each finding appears when it should, at its level, and not otherwise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from featurestore.cohort.tables import Cohort
from featurestore.outcomes import OUTCOMES
from featurestore.outcomes.synthetic import SYNTHETIC_DATA
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import OUTCOME_STAGE, exclusions_table
from fusion.audit import AuditReport, Check, CheckResult, Hit
from fusion.evidence import ArmEvidence, EncoderFacts, Estimate, Finding, Gain, RunFacts
from fusion.evidence.about import EVERY_FOLD
from fusion.evidence.findings import Bootstrapped, find_problems
from fusion.metrics.curves import CalibrationBins, Curve

EMPTY = np.array([])
DRAWS = Bootstrapped(2000, 0)


def _cohort(events: int = 60, n: int = 200, columns: int = 4) -> Cohort:
    ids = [f"P{i}" for i in range(n)]
    names = [f"c{k}" for k in range(columns)]
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "person_id": ids,
            "outcome": [1.0] * events + [0.0] * (n - events),
            "site": "",
        }
    ).assign(**dict.fromkeys(names, 1.0))
    images = pd.DataFrame({"image_id": ids, "patient_id": ids, "duplicate_cluster": ids})
    rest = ("lesion_id", "path", "sha256", "width", "height", "source", "licence", "attribution")
    images = images.assign(**dict.fromkeys(rest, ""))
    dictionary = DataDictionary(Column(name, "numeric", "clinical") for name in names)
    return Cohort("c", OUTCOMES["melanoma"], images, patients, dictionary, exclusions_table())


def _run(**changes: object) -> RunFacts:
    texts = {f.name: "" for f in dataclasses.fields(RunFacts)}
    facts = RunFacts(**texts)  # type: ignore[arg-type]
    plain = {"synthetic": False, "encoders": (), "caveats": (), "notes": (), "linkage": "patient"}
    return dataclasses.replace(facts, **(plain | changes))  # type: ignore[arg-type]


def _arm(low: float, high: float, model: str = "head", kind: str = "arm") -> ArmEvidence:
    curve = Curve(EMPTY, EMPTY, None, None)
    area = Estimate((low + high) / 2, low, high)
    bins = CalibrationBins(EMPTY, EMPTY, EMPTY, EMPTY, EMPTY)
    metrics = {"auroc": area}
    return ArmEvidence(
        model, model, ("a",), kind, 200, 60, metrics, "", {}, 0.03, 0.2, None,
        curve, curve, bins, curve,
    )  # fmt: skip


def _find(
    run: RunFacts | None = None,
    cohort: Cohort | None = None,
    arms: tuple[ArmEvidence, ...] = (),
    gains: tuple[Gain, ...] = (),
    draws: Bootstrapped = DRAWS,
) -> tuple[Finding, ...]:
    arms = arms or (_arm(0.7, 0.8),)
    return find_problems(run or _run(), cohort or _cohort(), {}, arms, gains, draws)


def test_nothing_to_say() -> None:
    assert _find() == ()


@pytest.mark.parametrize(
    ("low", "high", "level"),
    [(0.51, 0.6, None), (0.40, 0.49, "warning"), (0.45, 0.55, None)],
)
def test_permuted_labels(low: float, high: float, level: str | None) -> None:
    found = _find(arms=(_arm(low, high, "permuted_labels", "floor"),))
    assert [f.level for f in found] == ([level] if level else [])


def test_an_arm_that_could_not_be_fitted_is_named() -> None:
    (finding,) = _find(run=_run(arms_left_out=("svm[all] failed in repeat 0, fold 1: few events",)))
    assert finding == Finding(
        "warning", "Arm left out: svm[all] failed in repeat 0, fold 1: few events"
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.01, 0.04, "adds nothing measurable over"),
        (-0.05, -0.01, "is worse than"),
        (float("nan"), float("nan"), "no interval"),
        (0.01, 0.05, None),
    ],
)
def test_gain(low: float, high: float, words: str | None) -> None:
    found = _find(gains=(Gain("m", "a", "one", "all", Estimate(0.02, low, high), 0.5),))
    assert len(found) == (words is not None)
    if words:
        assert words in found[0].text


def test_gains_of_one_arm_are_one_finding() -> None:
    unclear = Estimate(0.02, -0.01, 0.04)
    found = _find(gains=(*(Gain("m", n, n, "all", unclear, 0.5) for n in ("a", "b")),))
    assert len(found) == 1
    assert "over a (ΔAUROC +0.020, -0.010 to +0.040); b (" in found[0].text


def test_draws_left_out_and_patients_not_predicted() -> None:
    (left_out,) = _find(draws=Bootstrapped(2000, 3))
    assert left_out.text.startswith("3 of 2,000")
    (missing,) = _find(cohort=_cohort(n=205))
    assert missing.text.startswith("5 of 205")


def test_random_encoders_are_named() -> None:
    encoders = (
        EncoderFacts("a", 512, "imagenet", "elsewhere", {EVERY_FOLD: "01"}),
        EncoderFacts("weights random", 512, "imagenet", "elsewhere", {EVERY_FOLD: "01"}),
        EncoderFacts("b", 512, "random(seed=0)", "never", {EVERY_FOLD: "02"}),
    )
    (finding,) = _find(_run(encoders=encoders))
    assert finding.text.startswith("Encoder b has random weights")


def test_synthetic_data_are_said_once() -> None:
    (own,) = _find(_run(synthetic=True))
    assert own == Finding("warning", SYNTHETIC_DATA)
    caveats = OUTCOMES["synthetic_metastasis"].caveats
    assert _find(_run(synthetic=True, caveats=caveats)) == (own,)


def test_gravest_first() -> None:
    found = find_problems(
        _run(notes=("n",), caveats=("c",)), _cohort(), {}, (_arm(0.7, 0.8),), (), DRAWS, _audit()
    )
    assert [f.level for f in found] == ["invalidates", "warning", "note", "note", "note"]


def test_what_the_audit_found_is_a_finding() -> None:
    found = find_problems(_run(), _cohort(), {}, (_arm(0.7, 0.8),), (), DRAWS, _audit())
    assert [(f.level, f.text) for f in found] == [
        ("invalidates", "A is wrong."),
        ("note", "B is odd."),
        ("note", "C is known. Accepted: c accepted: why."),
    ]


def _audit() -> AuditReport:
    check = Check("name", "Title", "Looks.", "invalidates", "Do.", lambda subject: ())
    hits = (Hit("A is wrong.", ("a",)), Hit("B is odd.", ("b",), severity="note"))
    known = (Hit("C is known.", ("c",)),)
    result = CheckResult(check, "fired", hits, known, "c accepted: why")
    return AuditReport((result, CheckResult(check, "clear")))


@pytest.mark.parametrize(("left", "level"), [(1, "note"), (113, "warning")])
def test_who_is_left_out_for_the_outcome_is_counted_by_reason(left: int, level: str) -> None:
    rows = [("patient", f"X{k}", OUTCOME_STAGE, "o is unknown (an event)") for k in range(left)]
    rows += [("patient", "Y", "eligibility", "too young"), ("image", "I", OUTCOME_STAGE, "gone")]
    cohort = dataclasses.replace(_cohort(), exclusions=exclusions_table(rows))
    (finding,) = _find(cohort=cohort)
    assert finding.level == level
    assert f"o is unknown (an event): {left}), 200 are studied" in finding.text
    assert "too young" not in finding.text
