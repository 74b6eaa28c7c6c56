"""The whole configuration of a run: the sections of all rooms in one schema."""

from __future__ import annotations

from pathlib import Path

import pydantic

from extractor.config import ExtractConfig
from extractor.config_finetune import FinetuneConfig, fine_tuned_names
from featurestore.cohort import CohortConfig
from featurestore.config import FoldsConfig, Section
from featurestore.imports import EmbeddingConfig
from fusion.config.ablation import (
    AblationConfig,
)
from fusion.config.evidence import AuditConfig, ClaimConfig, LadderConfig, TimeLadderConfig
from fusion.config.export import ExportConfig

MOST_LETTERS = 64
"""Of the name of a run."""


class RunConfig(Section):
    """A run: one YAML file.

    Attributes:
        name: Name of the run, of its default output folder and of the predictions' `run` column.
        seed: Seed of everything random.
        cohort: Sources, linkage and outcome.
        folds: Outer folds.
        extract: Images to embeddings.
        embeddings: Embeddings that were made elsewhere.
        finetune: How backbones are trained on the study's images; by default they are not.
        ablation: Arms and their models.
        audit: What the audit sets aside.
        claim: A published result to compare a label-matched run with.
        ladder: The linkage ladder of a label-matched run.
        time_ladder: The time ladder of a run on times to an event.
        export: Files written at the end.
        project: Folder whose `.melafuse` holds what runs share: embeddings, fits, fine-tuned
            encoders; by default the one that holds the run's folder.
        store: Folder of the feature store; by default that of the project.
    """

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=MOST_LETTERS)
    seed: int = pydantic.Field(0, ge=0, lt=2**31)
    cohort: CohortConfig
    folds: FoldsConfig = FoldsConfig()
    extract: ExtractConfig = ExtractConfig()
    embeddings: tuple[EmbeddingConfig, ...] = ()
    finetune: FinetuneConfig | None = None
    ablation: AblationConfig = AblationConfig()
    audit: AuditConfig = AuditConfig()
    claim: ClaimConfig | None = None
    ladder: LadderConfig = LadderConfig()
    time_ladder: TimeLadderConfig = TimeLadderConfig()
    export: ExportConfig = ExportConfig()
    project: Path | None = None
    store: Path | None = None

    @pydantic.model_validator(mode="after")
    def _embeddings_have_names_of_their_own(self) -> RunConfig:
        names = self.embedding_names(has_pictures=True)
        twice = sorted({name for name in names if names.count(name) > 1})
        if self.embeddings and twice:
            raise ValueError(f"two embeddings are called {twice[0]!r}; give each its own name")
        return self

    @pydantic.model_validator(mode="after")
    def _names_of_studies_fit(self) -> RunConfig:
        for outcome in self.cohort.by_outcome() if self.cohort.outcomes else ():
            if len(f"{self.name}-{outcome}") > MOST_LETTERS:
                raise ValueError(
                    f"the study of {outcome} is called {self.name}-{outcome}, which has more than "
                    f"{MOST_LETTERS} letters; take a shorter name"
                )
        return self

    def studies(self) -> dict[str, RunConfig]:
        """The run of each outcome by its name; this one itself unless there are several."""
        if not self.cohort.outcomes:
            return {self.cohort.find_outcome().name: self}
        return {
            outcome: self.model_copy(update={"cohort": cohort, "name": f"{self.name}-{outcome}"})
            for outcome, cohort in self.cohort.by_outcome().items()
        }

    def embedding_names(self, has_pictures: bool) -> list[str]:
        """Names of all embeddings: of backbones, fine-tuned ones, and those from elsewhere.

        Args:
            has_pictures: Whether the cohort has pictures that backbones can embed.
        """
        own = [backbone.name for backbone in self.extract.backbones]
        own += fine_tuned_names(self.finetune)
        return [*(own if has_pictures else []), *(one.name for one in self.embeddings)]
