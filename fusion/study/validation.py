"""Names in a configuration that must mean something; asked before any image is embedded."""

from __future__ import annotations

from featurestore.cohort import Cohort
from featurestore.errors import ConfigError
from fusion.audit import CHECKS, Acceptance
from fusion.audit.run import require_acceptable
from fusion.config import AuditConfig, HeadConfig, RunConfig
from fusion.evidence.subgroups import require_columns_of


def acceptances(config: AuditConfig) -> list[Acceptance]:
    """Findings that the configuration sets aside.

    Raises:
        ConfigError: One names no check, one that cannot be accepted, or gives no reason.
    """
    found = [Acceptance(**accepted.model_dump()) for accepted in config.accept]
    require_acceptable(CHECKS, found)
    return found


def require_one_outcome(config: RunConfig) -> None:
    """Refuses several outcomes where one study is asked for.

    Raises:
        ConfigError: There are several.
    """
    if config.cohort.outcomes:
        names = ", ".join(config.studies())
        raise ConfigError(
            f"{config.name} has several outcomes ({names}), and this works on the study of one: "
            f"name its folder, for example runs/{config.name}/{next(iter(config.studies()))}"
        )


def require_names(config: RunConfig, cohort: Cohort) -> None:
    """Refuses names that no fit needs and that the report or the audit would miss.

    Names of arms and models are looked at where the arms are planned.

    Args:
        config: The configuration.
        cohort: The cohort as its sources give it.

    Raises:
        ConfigError: `ablation.subgroups` names no patient column, or `audit.accept` no check.
    """
    require_columns_of(cohort, config.ablation.subgroups or ())
    acceptances(config.audit)


def require_device(head: HeadConfig) -> None:
    """Refuses a device that no fit could train heads on.

    Raises:
        ConfigError: This machine has none of its kind.
    """
    if head.device == "cpu":
        return
    from extractor.device import resolve_device  # loads torch

    try:
        resolve_device(head.device)
    except ConfigError as error:
        raise ConfigError(f"ablation.head.device: {error}") from None
