"""What a study will compare, before anything is embedded or fitted.

`doctor`, `init` and every stage of a run ask this, so what one of them accepts all do.
"""

from __future__ import annotations

import dataclasses

from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.arms import AblationPlan, Arm, plan_ablation
from fusion.config import RunConfig
from fusion.evaluation.designs import with_designs
from fusion.models import find_model, with_floors


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """What a study compares.

    Attributes:
        ablation: The ablation.
        arms: Its arms with the floors, then those of other designs.
    """

    ablation: AblationPlan
    arms: tuple[Arm, ...]


def plan_study(config: RunConfig, has_pictures: bool, dictionary: DataDictionary) -> StudyPlan:
    """Plans a study.

    Args:
        config: The study.
        has_pictures: Whether the cohort has pictures that backbones can embed.
        dictionary: The patient columns, those that models must not see flagged.

    Raises:
        ConfigError: A name is unknown, two arms are the same, or there is nothing to learn from.
    """
    ablation = plan_ablation(config.ablation, config.embedding_names(has_pictures), dictionary)
    arms = with_floors(ablation.arms, ablation.modalities, dictionary)
    arms = with_designs(arms, ablation.modalities, dictionary, config.ablation)
    elsewhere = {one.name for one in config.embeddings}
    for arm in arms:
        untrainable = elsewhere.intersection(n for m in arm.modalities for n in m.embeddings)
        if find_model(arm.model).pictures and untrainable:
            names = ", ".join(sorted(untrainable))
            raise ConfigError(
                f"arm {arm.name} trains encoders with its head, and {names} came from elsewhere "
                "without one; name its modalities under ablation.arms"
            )
    return StudyPlan(ablation, arms)
