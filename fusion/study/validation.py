"""Names in a configuration that must mean something; asked before any image is embedded."""

from __future__ import annotations

from collections.abc import Sequence

from featurestore.cohort.tables import Cohort
from fusion.arms import Arm, reference_arm
from fusion.audit import CHECKS, Acceptance
from fusion.audit.run import require_acceptable
from fusion.config import AuditConfig, RunConfig
from fusion.evidence.subgroups import require_columns_of
from fusion.models.registry import find_model


def acceptances(config: AuditConfig) -> list[Acceptance]:
    """Findings that the configuration sets aside.

    Raises:
        ConfigError: One names no check, one that cannot be accepted, or gives no reason.
    """
    found = [Acceptance(**accepted.model_dump()) for accepted in config.accept]
    require_acceptable(CHECKS, found)
    return found


def require_names(
    config: RunConfig, cohort: Cohort, arms: Sequence[Arm], planned: tuple[Arm, ...]
) -> None:
    """Refuses names that no fit needs and the report or the audit would miss.

    Args:
        config: The configuration.
        cohort: The cohort as its sources give it.
        arms: All arms, with floors and other designs.
        planned: The arms of the configuration.

    Raises:
        ConfigError: `ablation.reference` is no arm, `ablation.subgroups` no patient column, an
            arm's model is not registered, or `audit.accept` names no check.
    """
    for arm in arms:
        find_model(arm.model)
    reference_arm(config.ablation, planned)
    require_columns_of(cohort, config.ablation.subgroups or ())
    acceptances(config.audit)
