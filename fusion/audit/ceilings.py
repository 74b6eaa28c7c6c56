"""The best results that are believed: by the literature, or by the model that was planted."""

from __future__ import annotations

from fusion.audit.base import AuditSubject, Severity

CEILING = 0.90
"""AUROC that no externally validated model of melanoma metastasis exceeds: the sentinel-node
nomogram of 3,477 patients has 0.739, externally 0.750 (PMC7430218), and images for distant
recurrence 0.880 on 51 external patients (Kulkarni et al. 2020)."""

CEILINGS = {"melanoma": 0.95}
"""By outcome: for the diagnosis of melanoma from dermoscopy the winner of ISIC-2020 reached 0.949
on the hidden part of the test images (Ha et al. 2020, arXiv:2010.05351)."""

ABOVE_ORACLE = 4.0
"""Standard errors above the best AUROC that a planted model allows."""

INVALID = 0.95
"""AUROC from which on an unbelieved result means nothing until its cause is accepted by name."""


def ceiling(subject: AuditSubject, error: float) -> tuple[float, str]:
    """AUROC above which a result is not believed, and why.

    Args:
        subject: Has the outcome, and the oracle of a planted model.
        error: Standard error of an AUROC of these patients without any association.
    """
    oracle = subject.cohort.facts.get("oracle_auroc")
    if oracle is not None:
        reason = f"the planted model allows {oracle:.3f}, which chance does not explain"
        return min(oracle + ABOVE_ORACLE * error, 1.0), reason
    outcome = subject.cohort.outcome.name
    limit = CEILINGS.get(outcome, CEILING)
    return limit, f"published work supports {limit} at most for {outcome}"


def gravity(auroc: float) -> Severity:
    """How grave an unbelieved AUROC is."""
    return "invalidates" if auroc > INVALID else "warning"
