"""The ablation of outcomes that are there or not: what is compared, and every metric behind it."""

from __future__ import annotations

from featurestore.units import counted, worded
from fusion.evidence import ArmEvidence, BinaryEvidence
from fusion.report.intervals import sentence
from fusion.report.numbers import NOTHING, number, p_value, with_interval
from fusion.report.tables import (
    UNDEFINED,
    TextTable,
    arm_marks,
    difference,
    named_model,
    seen,
)

# Metric, heading, whether its interval is printed.
EVERY = (
    ("auprc", "AUPRC [95 % CI]", True),
    ("brier", "Brier [95 % CI]", True),
    ("calibration_slope", "slope", False),
    ("calibration_intercept", "intercept", False),
    ("sensitivity_at_specificity_90", "sens@spec 0.90 (test)", False),
    ("accuracy", "accuracy", False),
    ("precision", "precision", False),
    ("recall", "recall", False),
    ("f1", "F1", False),
    ("net_benefit", "net benefit", False),
)
SENSITIVITY = (
    "Sensitivity at specificity 0.90 picks its threshold on the outer test {patients} themselves: "
    "it describes the ROC curve and is no decision rule."
)


def ablation(evidence: BinaryEvidence) -> TextTable:
    """One line an arm with what is compared, the best first."""
    rows = tuple(
        (
            named_model(arm),
            with_interval(arm.metrics["auroc"]),
            difference(arm),
            _p_values(arm)[1],
            number(_value(arm, "auprc")),
            number(_value(arm, "brier")),
            number(_value(arm, "calibration_slope"), 2),
        )
        for arm in evidence.arms
    )
    first = evidence.arms[0]
    return TextTable(
        f"All arms on the same {evidence.noun.counted(first.n)} ({counted(first.events, 'event')}) "
        "and "
        f"folds, the best first. ΔAUROC is taken against {evidence.baseline}. "
        f"{sentence(evidence)}",
        (
            "arm",
            "AUROC [95 % CI]",
            "ΔAUROC [95 % CI]",
            "p Holm",
            "AUPRC",
            "Brier",
            "slope",
        ),
        rows,
        details=seen(evidence),
        marks=arm_marks(evidence),
        narrow=3,
        keys=tuple(arm.arm for arm in evidence.arms),
    )


def every_metric(evidence: BinaryEvidence) -> TextTable:
    """One line an arm with every other metric."""
    rows = tuple(
        (
            arm.arm,
            str(arm.n),
            str(arm.events),
            *(
                with_interval(arm.metrics.get(name, UNDEFINED))
                if bounds
                else number(_value(arm, name))
                for name, _, bounds in EVERY
            ),
            _p_values(arm)[0],
            number(arm.tie_width),
        )
        for arm in evidence.arms
    )
    return TextTable(
        f"Every other metric. Net benefit at threshold {evidence.net_benefit_threshold:.2f}. "
        f"{worded(SENSITIVITY, evidence.noun)} p is that of ΔAUROC before adjustment. "
        "A gap in AUROC to "
        f"{evidence.baseline} is a tie below the width of the last column, by the spread over "
        "folds.",
        ("arm", "n", "events", *(heading for _, heading, _ in EVERY), "p", "tie below"),
        rows,
        keys=tuple(arm.arm for arm in evidence.arms),
        stacked=True,
    )


def _value(arm: ArmEvidence, name: str) -> float:
    return arm.metrics.get(name, UNDEFINED).value


def _p_values(arm: ArmEvidence) -> tuple[str, str]:
    if not arm.differences:
        return NOTHING, NOTHING
    return p_value(arm.differences["auroc"].p), p_value(arm.differences["auroc"].p_holm)
