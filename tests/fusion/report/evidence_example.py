"""Evidence of realistic shape from made-up arms, for tests of the rendering."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image

from fusion.audit import AuditReport, Check, CheckResult, Hit
from fusion.endpoints.binary import BINARY
from fusion.evaluation.ladder import METRICS, Claim, Ladder, Rung
from fusion.evaluation.overlays import KINDS, PatientOverlay
from fusion.evaluation.sensitivity import ANALYSES
from fusion.evidence import (
    ArmEvidence,
    BinaryEvidence,
    Difference,
    EncoderFacts,
    Estimate,
    Finding,
    FlowStep,
    Gain,
    RunFacts,
)
from fusion.evidence.about import EVERY_FOLD
from fusion.evidence.designs import GroupLoss, LearningPoint
from fusion.evidence.importances import BlockImportance, InputSize
from fusion.evidence.intervals import interval_facts
from fusion.evidence.matched import Matched, MatchedResult
from fusion.evidence.operating import Operating
from fusion.evidence.pairs import Pair
from fusion.evidence.reference_model import Coefficient, Direction, ReferenceModel
from fusion.evidence.sensitivity import Sensitivity
from fusion.evidence.subgroups import Subgroup
from fusion.evidence.tuning import TuningEvidence
from fusion.evidence.verdict import AuditClaim, CalibrationClaim, FusionClaim, Obstacle, Verdict
from fusion.metrics.curves import CalibrationBins, Curve

SINGLES = ("resnet18", "efficientnet_b0", "clinical", "expression")
GRID = np.linspace(0, 1, 21)
NAMES = (
    "auroc",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "sensitivity_at_specificity_90",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "net_benefit",
)
NAN = float("nan")


def estimate(value: float, half: float = 0.04, method: str = "repeats") -> Estimate:
    return Estimate(value, value - half, value + half, method)


def arm(name: str, model: str, modalities: tuple[str, ...], auroc: float, kind: str) -> ArmEvidence:
    baseline = name.startswith("fusion_head[") and len(modalities) > 1
    differences = {
        metric: Difference(estimate(auroc - 0.84), 0.0004, None if kind == "floor" else 0.012)
        for metric in BINARY.tested
    }
    curve = Curve(GRID, GRID ** (1 - auroc / 1.2), GRID * 0.9, np.minimum(GRID * 1.1, 1))
    method = "percentile" if model == "permuted_labels" else "repeats"
    metrics = {n: estimate(auroc - 0.01 * k, 0.04, method) for k, n in enumerate(NAMES)}
    if kind == "floor":
        metrics["calibration_slope"] = Estimate(NAN, NAN, NAN)
    return ArmEvidence(
        arm=name,
        model=model,
        modalities=modalities,
        kind=kind,
        n=600,
        events=192,
        metrics=metrics,
        threshold="Youden's index on inner data, 0.28 to 0.36 over folds",
        differences={} if baseline else differences,
        tie_width=NAN if baseline else 0.03,
        explained=0.21,
        delong=None if kind == "floor" else estimate(auroc, 0.03, "delong"),
        roc=curve,
        pr=Curve(GRID, 1 - 0.6 * GRID, None, None),
        calibration=CalibrationBins(
            predicted=np.array([0.1, 0.3, 0.7]),
            observed=np.array([0.12, 0.25, 0.8]),
            low=np.array([0.05, 0.2, 0.7]),
            high=np.array([0.2, 0.35, 0.9]),
            count=np.array([200, 200, 200]),
        ),
        decision=Curve(GRID[1:-1], 0.3 - 0.3 * GRID[1:-1], None, None),
        fold_averaged=estimate(auroc + 0.004, 0.04, method),
    )


def example(name: str = "demo", history: bool = True, single: bool = False) -> BinaryEvidence:
    """Builds evidence with 14 arms, or one arm only."""
    arms = [
        arm(
            f"{model}[{subset[0] if len(subset) == 1 else 'all'}]",
            model,
            subset,
            auroc - 0.02 * k,
            "arm",
        )
        for subset, auroc in (*(((s,), 0.70) for s in SINGLES), (SINGLES, 0.84))
        for k, model in enumerate(("fusion_head", "lightgbm"))
    ]
    arms += [
        arm("rank_average[all]", "rank_average", SINGLES, 0.82, "arm"),
        arm("clinical_reference[clinical]", "clinical_reference", ("clinical",), 0.7, "reference"),
        arm("permuted_labels", "permuted_labels", SINGLES, 0.5, "floor"),
        arm("prevalence", "prevalence", (), 0.5, "floor"),
    ]
    full = "fusion_head[all]"
    if single:
        arms = [a for a in arms if a.arm == full]
    per_fold = pd.DataFrame(
        [
            {
                "arm": a.arm,
                "repeat": 0,
                "fold": k,
                "n": 120,
                "events": 38,
                "auroc": 0.7,
                "brier": 0.2,
            }
            for a in arms
            for k in range(5)
        ]
    )
    epochs = pd.DataFrame(
        [
            {
                "arm": full,
                "repeat": 0,
                "fold": fold,
                "member": 0,
                "epoch": epoch,
                "train_loss": 1 / (epoch + 1),
                "validation_loss": 0.5 + 0.01 * fold,
                "validation_auroc": 0.8,
            }
            for fold in range(2)
            for epoch in range(4)
        ]
    )
    return BinaryEvidence(
        run=RunFacts(
            name=name,
            command="melafuse demo",
            outcome_name="synthetic_metastasis",
            outcome_definition="Drawn from a planted model.",
            unit="patient",
            as_of="diagnosis",
            linkage="patient",
            synthetic=True,
            n_patients=600,
            n_events=192,
            n_images=1087,
            prevalence=0.32,
            seed=0,
            cohort_digest="ab" * 32,
            folds_digest="cd" * 32,
            encoders=(
                EncoderFacts(
                    "resnet18", 512, "random(seed=0)", "never", {EVERY_FOLD: "0123456789ab"}
                ),
            ),
            versions={"python": "3.11", "torch": "2.14"},
            caveats=("Made up.",),
            notes=("A note.",),
            facts={"oracle_auroc": 0.918},
            licences=("synthetic: CC0, 1087 images",),
        ),
        findings=(Finding("warning", "Encoder resnet18 has random weights."),),
        flow=(FlowStep("image", "extract", "truncated", 1),),
        table1=pd.DataFrame(
            [["age", "", "years", "55", "54", "57", "3 (0%)"]],
            columns=["variable", "level", "unit", "all", "no event", "event", "missing"],
        ),
        arms=tuple(arms),
        baseline=full,
        verdict=example_verdict(single),
        per_fold=per_fold,
        history=epochs if history else pd.DataFrame(),
        net_benefit_threshold=0.32,
        bootstrap_draws=2000,
        fusion_gain=()
        if single
        else tuple(
            Gain("fusion_head", s, f"fusion_head[{s}]", full, estimate(0.12), 0.001)
            for s in SINGLES
        ),
        encoder_history=encoder_epochs() if history else pd.DataFrame(),
        audit=example_audit(),
        ladder=example_ladder(),
        intervals=interval_facts(a.metrics["auroc"] for a in arms),
    )


def example_verdict(single: bool = False) -> Verdict:
    """A verdict on the example: the audit invalidates, and the patients are made up."""
    gain = FusionClaim(
        "adds", "fusion_head[all]", "fusion_head[clinical]", estimate(0.12), 0.001, 1, ()
    )
    return Verdict(
        best="fusion_head[all]",
        among=1 if single else 12,
        reference="fusion_head[all]",
        subject="fusion_head[all]",
        obstacles=(Obstacle("audit", ("Copy",)), Obstacle("synthetic")),
        fusion=None if single else gain,
        modalities=SINGLES,
        calibration=CalibrationClaim(
            "fusion_head[all]", ("calibrated",), estimate(0.0), estimate(1.0)
        ),
        audit=AuditClaim(3, 1, ("Copy",)),
        recommended=None if single else "fusion_head[clinical]",
    )


def _png(red: int, green: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (224, 168), (80 * red, 100 * green, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def everything(name: str = "demo") -> BinaryEvidence:
    """The example with every section that follows the ablation."""
    base = example(name)
    full = base.baseline
    area, none = estimate(0.7), Estimate(NAN, NAN, NAN)
    return dataclasses.replace(
        base,
        pairs=tuple(example_pairs(base)),
        seconds={a.arm: 12.34 for a in base.arms},
        operating={full: tuple(map(example_operating, (0.2, 0.4)))},
        group_losses=tuple(
            GroupLoss("lightgbm", group, area, estimate(0.02), 0.03, 0.06) for group in SINGLES
        ),
        learning_curve=tuple(
            LearningPoint("lightgbm", share, area, estimate(0.2)) for share in (0.25, 0.5, 1.0)
        ),
        subgroups=(
            Subgroup("sex", "Sex", "Female", 300, 90, _shown(0.75)),
            Subgroup("sex", "Sex", "Male", 290, 99, _shown(0.65)),
            Subgroup("sex", "Sex", "missing", 10, 3, {}),
        ),
        sensitivity=tuple(
            Sensitivity(full, analysis, 500, 150, area, area, estimate(0.01), 0.4)
            for analysis in ANALYSES
        ),
        reference_model=ReferenceModel(
            "Breslow + age",
            (Coefficient("breslow", 0.5, 0.4, 0.6, 5),),
            (Direction("Breslow thickness", "breslow", "", 500, 150, area, True),),
        ),
        matched=Matched("Breslow + age", 90, 120, 0.05, (MatchedResult(full, area, none),)),
        importances=tuple(
            BlockImportance(full, group, 0.05, 0.01, 0.09, None if k else 0.4)
            for k, group in enumerate(SINGLES)
        ),
        inputs=(InputSize(full, "breslow", "histopathology", 0.3, 5),),
        overlays=tuple(
            PatientOverlay(kind, rank, 0.9 - 0.4 * k, k == 0, encoder, _png(k, rank))
            for k, kind in enumerate(KINDS)
            for rank in range(2)
            for encoder in ("resnet18", "<b>other</b>")
        ),
        tuning=(TuningEvidence("lightgbm[all]", np.array([[0.6, 0.7]] * 2), 0.5, {"rate": 0.8}),),
    )


def example_pairs(evidence: BinaryEvidence) -> Iterator[Pair]:
    """The baseline against every other arm, and nothing else."""
    for arm in evidence.arms:
        if arm.arm != evidence.baseline:
            yield Pair(evidence.baseline, arm.arm, estimate(0.1), 0.01, 0.06)


def example_operating(threshold: float) -> Operating:
    """A threshold with counts that may be shown."""
    rates = (estimate(0.8), estimate(0.7), estimate(0.1))
    return Operating(threshold, *rates, 150.0, 100.0, 42.0, 308.0)


SUBGROUP_METRICS = ("auroc", "brier", "calibration_intercept")


def _shown(value: float) -> dict[str, Estimate]:
    return dict.fromkeys(SUBGROUP_METRICS, estimate(value))


def example_ladder() -> Ladder:
    """Two rungs and a claim that states no accuracy."""
    area = Estimate(0.98, 0.97, 0.99, "bound")
    rungs = tuple(
        Rung(name, f"{name} of rows", takes, 200, 60, 40, dict.fromkeys(METRICS, area))
        for name, takes in (("first", ""), ("second", "the label"))
    )
    return Ladder(rungs, Claim("A paper", {"auroc": 0.9905, "auprc": 0.97}))


def example_audit() -> AuditReport:
    """One check of each status."""
    check = Check("site", "Site", "Looks at sites.", "warning", "Split by site.", lambda s: ())
    grave = dataclasses.replace(check, name="copy", title="Copy", severity="invalidates")
    return AuditReport(
        (
            CheckResult(check, "clear"),
            CheckResult(grave, "fired", (Hit("Status is the outcome.", ("status",), 1.0),)),
            CheckResult(check, "accepted", (), (Hit("S1 has more.", ("S1",)),), "S1 accepted: so"),
            CheckResult(check, "not_applicable", note="there is one site"),
        )
    )


def encoder_epochs() -> pd.DataFrame:
    """Two encoders of a fold each, and one that serves all folds."""
    return pd.DataFrame(
        [
            {
                "encoder": encoder,
                "repeat": repeat,
                "fold": fold,
                "epoch": epoch,
                "train_loss": 1 / (epoch + 1),
                "validation_loss": 0.6,
                "validation_auroc": 0.7 + 0.01 * epoch,
                "learning_rate": 1e-4,
                "head_learning_rate": 1e-3,
                "released_groups": 5,
                "kept": epoch == 3,
            }
            for encoder, repeat, fold in (("a_ft", 0, 0), ("a_ft", 0, 1), ("b_ft", None, None))
            for epoch in range(1, 5)
        ]
    )
