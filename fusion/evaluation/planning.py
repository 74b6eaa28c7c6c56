"""What a study will compare, before anything is embedded or fitted.

`doctor`, `init` and every stage of a run ask this, so what one of them accepts all do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

from featurestore.cohort import Cohort, ImageRoles, roles_by_embedding
from featurestore.errors import ConfigError
from featurestore.sources import SourceTables
from featurestore.tables import DataDictionary
from fusion.arms import AblationPlan, Arm, plan_ablation, role_names
from fusion.config import RunConfig
from fusion.endpoints import Endpoint, find_endpoint
from fusion.evaluation.designs import with_designs
from fusion.models import find_model, with_floors
from fusion.roles import encoders_of


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """What a study compares.

    Attributes:
        ablation: The ablation.
        arms: Its arms with the floors, then those of other designs.
    """

    ablation: AblationPlan
    arms: tuple[Arm, ...]


def plan_of_cohort(config: RunConfig, cohort: Cohort) -> StudyPlan:
    """Plans a study of a cohort that has been read.

    Raises:
        ConfigError: As `plan_study`.
    """
    has_pictures = not cohort.pictures.empty
    names = config.embedding_names(has_pictures)
    roles = roles_by_embedding(names, cohort.images, cohort.features)
    return plan_study(config, has_pictures, cohort.dictionary, cohort.outcome.kind, roles)


def roles_in_sources(config: RunConfig, tables: Sequence[SourceTables]) -> dict[str, ImageRoles]:
    """Roles by name of an embedding, as sources say them before a cohort is built.

    Which images an embedding from elsewhere is of is not known yet: it is taken to have every role
    that the configuration asks of it, and is parted by none that it does not.
    """
    images = pd.concat([table.images for table in tables], ignore_index=True)
    asked = config.ablation.modalities is not None
    elsewhere = {} if asked else {one.name: () for one in config.embeddings}
    return roles_by_embedding(config.embedding_names(not images.empty), images, elsewhere)


def plan_study(
    config: RunConfig,
    has_pictures: bool,
    dictionary: DataDictionary,
    kind: str = "binary",
    roles: Mapping[str, ImageRoles] = MappingProxyType({}),
) -> StudyPlan:
    """Plans a study.

    Args:
        config: The study.
        has_pictures: Whether the cohort has pictures that backbones can embed.
        dictionary: The patient columns, those that models must not see flagged.
        kind: Kind of the outcome.
        roles: By name of an embedding the roles of the images that it is of.

    Raises:
        ConfigError: A name is unknown, two arms are the same, there is nothing to learn from, or a
            package is absent.
    """
    require_supported(config, find_endpoint(kind))
    names = config.embedding_names(has_pictures)
    ablation = plan_ablation(config.ablation, names, dictionary, kind, roles)
    arms = with_floors(ablation.arms, ablation.modalities, dictionary, kind)
    arms = with_designs(arms, ablation.modalities, dictionary, config.ablation)
    elsewhere = {one.name for one in config.embeddings}
    kept = any(one.pool == "none" for one in config.embeddings)
    for arm in arms:
        found = find_model(arm.model, kind)
        found.require_package(arm.model)
        looked = encoders_of(n for m in arm.modalities for n in m.embeddings)
        untrainable = elsewhere.intersection(looked)
        if found.pictures and role_names(arm.modalities):
            parted = next(m.name for m in arm.modalities if role_names([m]))
            raise ConfigError(
                f"arm {arm.name} trains encoders on pictures one by one, and modality {parted!r} "
                "is of images of one role; name modalities without a role under ablation.arms"
            )
        if found.pictures and untrainable:
            without = ", ".join(sorted(untrainable))
            raise ConfigError(
                f"arm {arm.name} trains encoders with its head, and {without} came from elsewhere "
                "without one; name its modalities under ablation.arms"
            )
        if found.bags and not kept:
            raise ConfigError(
                f"arm {arm.name} attends over tiles, and no embeddings keep theirs: import them "
                "with `pool: none`, or take fusion_head"
            )
    if config.ablation.head.batched and not any(find_model(a.model, kind).gathers for a in arms):
        raise ConfigError(
            "ablation.head.batched: no arm has heads that train together, which fusion_head, its "
            "variants but for attention, and stacked have on a binary outcome; leave it out"
        )
    return StudyPlan(ablation, arms)


def require_supported(config: RunConfig, endpoint: Endpoint) -> None:
    """Refuses what no study of this kind of outcome can do.

    Raises:
        ConfigError: It is asked for.
    """
    if config.cohort.linkage == "label_matched" and not endpoint.lends_by_label:
        raise ConfigError(
            f"cohort.linkage: label_matched lends rows between patients of the same label; an "
            f"outcome of the kind {endpoint.kind!r} has none: use patient"
        )
    tuned = config.finetune
    if tuned is not None and tuned.external is None and not endpoint.tunes_encoders:
        raise ConfigError(
            f"finetune: encoders are not fine-tuned on an outcome of the kind {endpoint.kind!r}; "
            f"leave it out, or tune them on another cohort with finetune.external"
        )
    if config.ablation.sensitivity and not endpoint.imputes:
        raise ConfigError(
            f"ablation.sensitivity: models of an outcome of the kind {endpoint.kind!r} are not "
            f"fitted on several imputations; leave it out"
        )
