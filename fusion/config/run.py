"""The whole configuration of a run: the sections of all rooms in one schema."""

from __future__ import annotations

from pathlib import Path

import pydantic

from extractor.config import ExtractConfig
from extractor.config_finetune import FinetuneConfig
from featurestore.cohort import CohortConfig
from featurestore.config import FoldsConfig, Section
from fusion.config.ablation import (
    AblationConfig,
)
from fusion.config.evidence import AuditConfig, ClaimConfig, LadderConfig
from fusion.config.export import ExportConfig


class RunConfig(Section):
    """A run: one YAML file.

    Attributes:
        name: Name of the run, of its default output folder and of the predictions' `run` column.
        seed: Seed of everything random.
        cohort: Sources, linkage and outcome.
        folds: Outer folds.
        extract: Images to embeddings.
        finetune: How backbones are trained on the study's images; by default they are not.
        ablation: Arms and their models.
        audit: What the audit sets aside.
        claim: A published result to compare a label-matched run with.
        ladder: The linkage ladder of a label-matched run.
        export: Files written at the end.
        store: Folder of the feature store; by default `store` in the run's folder.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    seed: int = pydantic.Field(0, ge=0, lt=2**31)
    cohort: CohortConfig
    folds: FoldsConfig = FoldsConfig()
    extract: ExtractConfig = ExtractConfig()
    finetune: FinetuneConfig | None = None
    ablation: AblationConfig = AblationConfig()
    audit: AuditConfig = AuditConfig()
    claim: ClaimConfig | None = None
    ladder: LadderConfig = LadderConfig()
    export: ExportConfig = ExportConfig()
    store: Path | None = None
