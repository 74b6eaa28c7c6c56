"""Evidence collected from small tables of predictions with a known truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn.metrics import average_precision_score, roc_auc_score

from featurestore.cohort.tables import Cohort
from featurestore.errors import DataError
from featurestore.outcomes import OUTCOMES
from featurestore.tables.dictionary import Column, DataDictionary
from featurestore.tables.exclusions import exclusions_table
from fusion.endpoints.binary import BINARY
from fusion.evaluation.predictions import predictions_table
from fusion.evidence import EncoderFacts, Evidence, ReportInputs, RunFacts, collect
from fusion.evidence.about import EVERY_FOLD
from fusion.evidence.collect import _flow
from fusion.metrics.bootstrap import draw_weights
from fusion.metrics.classification import auroc, metrics_at
from fusion.metrics.delong import delong
from fusion.metrics.explained import nagelkerke_r2
from fusion.metrics.logits import sigmoid

BASELINE = "head[image+clinical]"
# Arm, model, modalities, and how much of the truth its score holds.
ARMS = (
    (BASELINE, "head", "image+clinical", 1.5),
    ("head[image]", "head", "image", 1.0),
    ("head[clinical]", "head", "clinical", 0.2),
    ("tree[image+clinical]", "tree", "image+clinical", 1.4),
    ("tree[image]", "tree", "image", 1.4),
    ("clinical_reference[clinical]", "clinical_reference", "clinical", 0.5),
    ("prevalence", "prevalence", "", 0.0),
    ("permuted_labels", "permuted_labels", "image+clinical", 0.0),
)


def make_cohort(n: int = 200, seed: int = 0) -> Cohort:
    """Patients with two images each; images of neighbours 0/1 and 2/3 are copies."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"P{i:03d}" for i in range(n)])
    patients = pd.DataFrame(
        {
            "patient_id": ids,
            "person_id": ids,
            "outcome": (rng.random(n) < 0.35).astype(float),
            "site": "trunk",
            "age": np.where(np.arange(n) % 10 == 0, np.nan, rng.normal(60, 10, n)),
            "sex": np.where(np.arange(n) % 4 == 0, "male", "female"),
        }
    )
    owner = np.repeat(np.arange(n), 2)
    image_ids = [f"I{i:03d}" for i in range(2 * n)]
    images = pd.DataFrame({"image_id": image_ids, "patient_id": ids[owner]})
    cluster = np.array(image_ids)
    cluster[[2, 6]] = cluster[[0, 4]]
    images = images.assign(
        lesion_id=image_ids,
        path=image_ids,
        sha256=image_ids,
        width=10,
        height=10,
        duplicate_cluster=cluster,
        source="made",
        licence="CC0-1.0",
        attribution="",
    )
    dictionary = DataDictionary(
        [
            Column("age", "numeric", "demographic", "Age", "years"),
            Column("sex", "nominal", "demographic", "Sex", levels=("female", "male")),
        ]
    )
    excluded = exclusions_table(
        [
            ("image", "X1", "inspect", "truncated"),
            ("image", "X2", "inspect", "truncated"),
            ("patient", "P999", "outcome", "outcome unknown"),
        ]
    )
    return Cohort("made", OUTCOMES["melanoma"], images, patients, dictionary, excluded)


def make_predictions(cohort: Cohort, repeats: int = 2, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    patients = cohort.patients.sort_values("patient_id")
    y = patients["outcome"].to_numpy(dtype=int)
    n = len(y)
    common = rng.normal(size=n)
    parts = []
    for name, model, modalities, signal in ARMS:
        for repeat in range(repeats):
            score = signal * y + 0.8 * common + 0.4 * rng.normal(size=n) - 1
            if model == "prevalence":
                score = np.zeros(n)
            if model == "permuted_labels":
                score = rng.normal(size=n)
            fold = np.random.default_rng(repeat).permutation(n) % 5
            table = {
                "run": "made",
                "arm": name,
                "model": model,
                "modalities": modalities,
                "design": "ablation",
                "repeat": repeat,
                "fold": fold,
                "patient_id": patients["patient_id"].to_numpy(),
                "y": y,
                "score": score,
                "probability": sigmoid(score) if model != "prevalence" else 0.35,
                "threshold": 0.3 + 0.01 * fold,
            }
            parts.append(pd.DataFrame(table))
    return predictions_table(parts, "binary")


def make_run(cohort: Cohort, **changes: object) -> RunFacts:
    facts = RunFacts(
        name="made",
        command="melafuse run made.yaml",
        outcome_name="melanoma",
        outcome_definition="",
        unit="patient",
        as_of="",
        linkage="patient",
        synthetic=False,
        n_patients=cohort.n_patients,
        n_events=cohort.n_events,
        n_images=len(cohort.images),
        prevalence=cohort.prevalence,
        seed=0,
        cohort_digest="a",
        folds_digest="b",
        encoders=(
            EncoderFacts("net_a", 12, "imagenet", "elsewhere", {EVERY_FOLD: "0123"}),
            EncoderFacts("net_b", 8, "random(seed=0)", "never", {EVERY_FOLD: "4567"}),
        ),
        versions={},
        caveats=("A caveat.",),
        notes=("A note.",),
        facts={},
        licences=(),
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def make_groups(cohort: Cohort) -> dict[str, str]:
    groups = {p: p for p in cohort.patients["patient_id"]}
    return groups | {"P001": "P000", "P003": "P002"}


def gather(cohort: Cohort, predictions: pd.DataFrame, draws: int = 300, seed: int = 0) -> Evidence:
    return collect(ReportInputs(make_run(cohort), cohort, BASELINE, draws, seed), predictions)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return make_cohort()


@pytest.fixture(scope="module")
def predictions(cohort: Cohort) -> pd.DataFrame:
    return make_predictions(cohort)


@pytest.fixture(scope="module")
def evidence(cohort: Cohort, predictions: pd.DataFrame) -> Evidence:
    return gather(cohort, predictions)


def _mean(predictions: pd.DataFrame, arm: str, function: object) -> float:
    assert callable(function)
    own = predictions[predictions["arm"] == arm]
    return float(np.mean([function(r["y"], r["score"]) for _, r in own.groupby("repeat")]))


def test_arms_references_and_floors_in_this_order(evidence: Evidence) -> None:
    assert [a.arm for a in evidence.arms] == [
        "head[clinical]",
        "head[image]",
        BASELINE,
        "tree[image]",
        "tree[image+clinical]",
        "clinical_reference[clinical]",
        "permuted_labels",
        "prevalence",
    ]
    assert [a.kind for a in evidence.arms] == ["arm"] * 5 + ["reference"] + ["floor"] * 2
    assert {a.n for a in evidence.arms} == {200}
    assert all(set(a.metrics) == set(metrics_at(0.5)) for a in evidence.arms)


def test_metrics_are_averaged_over_repeats(evidence: Evidence, predictions: pd.DataFrame) -> None:
    for arm in evidence.arms:
        expected = _mean(predictions, arm.arm, roc_auc_score)
        assert arm.metrics["auroc"].value == pytest.approx(expected), arm.arm
        expected = _mean(predictions, arm.arm, average_precision_score)
        assert arm.metrics["auprc"].value == pytest.approx(expected), arm.arm


def test_intervals_and_paired_differences_by_repeating_rows(
    cohort: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    """The whole path again with plain loops over draws, arms and repeats."""
    groups = make_groups(cohort)
    ids = sorted(groups)
    weights = draw_weights([groups[p] for p in ids], 300, seed=0)
    found: dict[str, list[list[float]]] = {BASELINE: [], "head[image]": []}
    observed: dict[str, list[float]] = {}
    for arm, values in found.items():
        own = predictions[predictions["arm"] == arm]
        parts = [part.set_index("patient_id").loc[ids] for _, part in own.groupby("repeat")]
        columns = [(part["y"].to_numpy(), part["score"].to_numpy()) for part in parts]
        observed[arm] = [float(auroc(y, s)[0]) for y, s in columns]
        for line in weights:
            rows = np.repeat(np.arange(len(ids)), line)
            values.append([float(auroc(y[rows], s[rows])[0]) for y, s in columns])
    outcome = columns[0][0]
    events = {groups[p] for p, y in zip(ids, outcome, strict=True) if y == 1}
    others = {groups[p] for p, y in zip(ids, outcome, strict=True) if y == 0}
    quantile = student_t.ppf(0.975, min(len(events), len(others)) - 1)

    def error(draws: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        """Plain and widened standard error, draw by draw."""
        means = [line.mean() for line in draws]
        between = [np.var(line - values, ddof=1) for line in draws]
        plain = np.var(means, ddof=1)
        repeats = len(values)
        folds = predictions["fold"].nunique()
        training = min(np.mean(between) * (folds - 1 + 1 / repeats), plain)
        return float(np.sqrt(plain)), float(np.sqrt(plain + training))

    reference, image = (np.array(v) for v in found.values())
    first, second = (np.array(v) for v in observed.values())
    by_name = {a.arm: a for a in evidence.arms}
    shown = by_name[BASELINE].metrics["auroc"]
    plain, widened = error(reference, first)
    assert plain < widened
    value = first.mean()
    ends = np.quantile(reference.mean(axis=1), [0.025, 0.975])
    stretch = widened / plain * quantile / norm.ppf(0.975)
    low, high = expit(logit(value) + stretch * (logit(ends) - logit(value)))
    assert (shown.value, shown.low, shown.high) == pytest.approx((value, low, high))
    assert shown.method == "repeats"
    delta = by_name["head[image]"].differences["auroc"].estimate
    _, widened = error(image - reference, second - first)
    value = (second - first).mean()
    assert (delta.low, delta.high) == pytest.approx(
        (value - quantile * widened, value + quantile * widened)
    )
    gain = next(g for g in evidence.fusion_gain if g.single_arm == "head[image]")
    assert gain.delta.low == pytest.approx(-delta.high)
    assert gain.p == by_name["head[image]"].differences["auroc"].p
    assert (gain.model, gain.modality) == ("head", "image")


def test_every_interval_says_which_it_is(evidence: Evidence) -> None:
    """The permuted floor exchanges outcomes in every fold anew: training adds nothing to it."""
    kinds = {arm.arm: arm.metrics["auroc"].method for arm in evidence.arms}
    assert kinds.pop("permuted_labels") == "percentile"
    assert set(kinds.values()) == {"repeats"}
    assert [facts.method for facts in evidence.intervals] == ["repeats", "percentile"]
    for arm in evidence.arms:
        assert all(found.method for found in arm.metrics.values())
        methods = {found.estimate.method for found in arm.differences.values()}
        assert methods <= {"repeats"}


def test_fold_averaged_auroc_stands_beside_the_pooled_one(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    for arm in evidence.arms:
        own = predictions[predictions["arm"] == arm.arm].groupby(["repeat", "fold"])
        areas = [roc_auc_score(part["y"], part["score"]) for _, part in own]
        found, pooled = arm.fold_averaged, arm.metrics["auroc"]
        assert found is not None
        assert found.value == pytest.approx(np.mean(areas))
        if arm.model != "prevalence":
            assert logit(found.high) - logit(found.value) == pytest.approx(
                logit(pooled.high) - logit(pooled.value)
            )


def test_gains_are_adjusted_over_all_of_them(evidence: Evidence) -> None:
    p = [gain.p for gain in evidence.fusion_gain]
    adjusted = [gain.p_holm for gain in evidence.fusion_gain]
    assert len(p) == 3
    assert min(adjusted) == pytest.approx(3 * min(p))
    assert max(adjusted) <= 1


def test_the_baseline_has_no_difference_and_holm_leaves_floors_out(evidence: Evidence) -> None:
    by_name = {a.arm: a for a in evidence.arms}
    assert by_name[BASELINE].differences == {}
    for metric in BINARY.tested:
        tested = [
            a.differences[metric] for a in evidence.arms if a.kind != "floor" and a.arm != BASELINE
        ]
        smallest = min(d.p for d in tested)
        adjusted = [d.p_holm for d in tested if d.p_holm is not None]
        assert len(adjusted) == 5
        assert min(adjusted) == pytest.approx(5 * smallest)
        floor = by_name["prevalence"].differences[metric]
        assert np.isfinite(floor.p)
        assert floor.p_holm is None


def test_prevalence_ranks_nobody_and_says_nothing_it_cannot(evidence: Evidence) -> None:
    floor = next(a for a in evidence.arms if a.model == "prevalence")
    area = floor.metrics["auroc"]
    assert (area.value, area.low, area.high) == (0.5, 0.5, 0.5)
    assert np.isnan(floor.metrics["calibration_slope"].value)
    assert np.isfinite(floor.metrics["calibration_intercept"].low)
    assert floor.modalities == ()
    assert floor.delong is not None
    assert np.isnan(floor.delong.low)


def test_decisions_use_the_threshold_of_each_fold(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    own = predictions[predictions["arm"] == BASELINE]
    right = (own["probability"] >= own["threshold"]) == (own["y"] == 1)
    arm = next(a for a in evidence.arms if a.arm == BASELINE)
    assert arm.metrics["accuracy"].value == pytest.approx(right.mean())
    assert "0.300 to 0.340 over 10 folds" in arm.threshold


def test_curves_belong_to_the_metrics(evidence: Evidence) -> None:
    arm = next(a for a in evidence.arms if a.arm == BASELINE)
    assert np.trapezoid(arm.roc.y, arm.roc.x) == pytest.approx(arm.metrics["auroc"].value, abs=0.01)
    assert arm.pr.y.mean() == pytest.approx(arm.metrics["auprc"].value, abs=0.02)
    at = int(np.argmin(np.abs(arm.decision.x - evidence.net_benefit_threshold)))
    assert arm.decision.y[at] == pytest.approx(arm.metrics["net_benefit"].value, abs=0.02)
    for curve in (arm.roc, arm.pr, arm.decision):
        assert curve.low is not None
        assert curve.high is not None
        assert np.mean((curve.low <= curve.y) & (curve.y <= curve.high)) > 0.9
        assert (curve.high > curve.low).any()
    assert arm.calibration.count.sum() == 200


def test_fusion_gain_is_taken_within_a_model(evidence: Evidence) -> None:
    pairs = {(g.fused_arm, g.single_arm) for g in evidence.fusion_gain}
    assert pairs == {
        (BASELINE, "head[image]"),
        (BASELINE, "head[clinical]"),
        ("tree[image+clinical]", "tree[image]"),
    }
    texts = [f.text for f in evidence.findings]
    assert any("tree[image+clinical] adds nothing measurable over tree[image]" in t for t in texts)
    assert not any("over head[clinical]" in t for t in texts)


def test_folds_are_scored_one_by_one(evidence: Evidence, predictions: pd.DataFrame) -> None:
    assert len(evidence.per_fold) == len(ARMS) * 2 * 5
    row = evidence.per_fold.query("arm == @BASELINE and repeat == 1 and fold == 3").iloc[0]
    own = predictions.query("arm == @BASELINE and repeat == 1 and fold == 3")
    assert row["auroc"] == pytest.approx(roc_auc_score(own["y"], own["score"]))
    assert (row["n"], row["events"]) == (len(own), own["y"].sum())


def test_each_arm_has_its_own_tie_width(evidence: Evidence) -> None:
    """Nadeau & Bengio's corrected resampled t interval of the differences over folds, by hand."""
    areas = evidence.per_fold.pivot(index=["repeat", "fold"], columns="arm", values="auroc")
    widths = {arm.arm: arm.tie_width for arm in evidence.arms}
    assert np.isnan(widths.pop(BASELINE))
    for arm, width in widths.items():
        gaps = (areas[arm] - areas[BASELINE]).to_numpy()
        error = np.sqrt(np.var(gaps, ddof=1) * (1 / 10 + 40 / 160))
        assert width == pytest.approx(student_t.ppf(0.975, 9) * error), arm
    assert len({round(width, 6) for width in widths.values()}) == len(widths)


def test_delong_and_calibration_are_of_all_repeats(
    evidence: Evidence, predictions: pd.DataFrame
) -> None:
    for arm in evidence.arms:
        own = predictions[predictions["arm"] == arm.arm].sort_values("patient_id")
        parts = [part for _, part in own.groupby("repeat")]
        y = parts[0]["y"].to_numpy(float)
        assert arm.delong is not None
        assert arm.delong.value == pytest.approx(arm.metrics["auroc"].value)
        found = delong(y, np.stack([part["score"].to_numpy() for part in parts]))
        spread = 1.959963984540054 * np.sqrt(np.ones(2) @ found.covariance @ np.ones(2) / 4)
        if arm.model != "prevalence":
            assert arm.delong.low == pytest.approx(arm.delong.value - spread)
        assert arm.calibration.count.sum() == pytest.approx(200)
        whole = np.average(arm.calibration.predicted, weights=arm.calibration.count)
        assert whole == pytest.approx(own["probability"].mean())
        r2 = np.mean([nagelkerke_r2(y, part["probability"].to_numpy()) for part in parts])
        assert arm.explained == pytest.approx(r2)


def test_flow_and_table_one(evidence: Evidence) -> None:
    assert [(s.entity, s.stage, s.reason, s.n) for s in evidence.flow] == [
        ("image", "inspect", "truncated", 2),
        ("patient", "outcome", "outcome unknown", 1),
    ]
    assert evidence.table1.iloc[0]["all"] == "200"


def test_copies_across_patients_are_noted_and_widen_what_is_drawn(
    cohort: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    note = next(f for f in evidence.findings if "copied images" in f.text)
    assert note.level == "note"
    assert note.text.startswith("2 clusters")
    assert "the 4 patients" in note.text
    images = cohort.images.assign(duplicate_cluster=cohort.images["image_id"])
    alone = gather(dataclasses.replace(cohort, images=images), predictions)
    assert not any("copied images" in f.text for f in alone.findings)
    assert alone.arms[0].metrics["auroc"].value == evidence.arms[0].metrics["auroc"].value
    assert alone.arms[0].metrics["auroc"].low != evidence.arms[0].metrics["auroc"].low


def test_same_seed_and_other_row_order_give_the_same_numbers(
    cohort: Cohort, predictions: pd.DataFrame, evidence: Evidence
) -> None:
    shuffled = predictions.sample(frac=1, random_state=3)
    again = gather(cohort, shuffled)
    for one, two in zip(evidence.arms, again.arms, strict=True):
        for name in one.metrics:
            np.testing.assert_array_equal(
                dataclasses.astuple(one.metrics[name]), dataclasses.astuple(two.metrics[name])
            )
        np.testing.assert_array_equal(one.roc.low, two.roc.low)
        assert one.differences == two.differences
    assert evidence.findings == again.findings
    pd.testing.assert_frame_equal(evidence.per_fold, again.per_fold)
    other = gather(cohort, predictions, seed=1)
    assert other.arms[0].metrics["auroc"].low != evidence.arms[0].metrics["auroc"].low


def test_perfect_arm_has_an_honest_interval(cohort: Cohort, predictions: pd.DataFrame) -> None:
    perfect = predictions.copy()
    own = perfect["arm"] == BASELINE
    perfect.loc[own, "score"] = np.where(perfect.loc[own, "y"] == 1, 3.0, -3.0)
    perfect.loc[own, "probability"] = sigmoid(perfect.loc[own, "score"].to_numpy())
    found = gather(cohort, perfect)
    arm = next(a for a in found.arms if a.arm == BASELINE)
    groups = cohort.patients["patient_id"].map(make_groups(cohort))
    rarer = min(groups[cohort.patients["outcome"] == label].nunique() for label in (0, 1))
    assert arm.metrics["auroc"].value == 1.0
    assert arm.metrics["auroc"].low == pytest.approx(0.025 ** (1 / rarer))
    assert arm.metrics["accuracy"].low == pytest.approx(0.025 ** (1 / 198))
    assert np.isnan(arm.metrics["auprc"].low)
    assert np.isnan(arm.metrics["calibration_slope"].value)


def test_one_class_only_is_reported_and_not_computed(
    cohort: Cohort, predictions: pd.DataFrame
) -> None:
    nobody = dataclasses.replace(cohort, patients=cohort.patients.assign(outcome=0.0))
    found = gather(nobody, predictions.assign(y=0))
    assert all(np.isnan(a.metrics["auroc"].value) for a in found.arms)
    assert all(a.delong is None for a in found.arms)
    assert any("300 of 300 bootstrap draws held one class" in f.text for f in found.findings)
    assert found.arms[0].roc.low is None


def test_one_arm_and_one_fold_suffice(cohort: Cohort, predictions: pd.DataFrame) -> None:
    one = predictions.query("arm == @BASELINE and repeat == 0").assign(fold=0)
    found = gather(cohort, one)
    assert len(found.arms) == 1
    assert found.fusion_gain == ()
    assert np.isnan(found.arms[0].tie_width)


def _drop_patient(t: pd.DataFrame) -> pd.DataFrame:
    return t[~((t["arm"] == "head[image]") & (t["patient_id"] == "P005"))]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t[t["arm"] != BASELINE], "baseline .* has no predictions"),
        (lambda t: t[:0], "no predictions to report"),
        (_drop_patient, r"head\[image\].* 199 patients"),
        (lambda t: t.assign(run=np.where(t["repeat"] == 1, "a", "b")), "several runs"),
        (lambda t: t.assign(patient_id=t["patient_id"] + "x"), "that the cohort lacks"),
        (lambda t: t.assign(y=1 - t["y"]), "other outcomes"),
        (lambda t: t.assign(y=np.where(t["repeat"] == 1, 1 - t["y"], t["y"])), "two outcomes"),
        (lambda t: t.assign(score=np.nan), "finite"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(
    cohort: Cohort, predictions: pd.DataFrame, damage: object, message: str
) -> None:
    assert callable(damage)
    with pytest.raises(DataError, match=message):
        gather(cohort, damage(predictions), draws=20)


def test_the_flow_counts_images_of_left_out_patients_without_naming_them() -> None:
    made = make_cohort(60)
    rows = [("image", f"X{k}", "outcome", f"patient P {k} left out: not known") for k in range(3)]
    cohort = dataclasses.replace(made, exclusions=exclusions_table(rows))
    (step,) = _flow(cohort)
    assert (step.reason, step.n) == ("its patient left out: not known", 3)
