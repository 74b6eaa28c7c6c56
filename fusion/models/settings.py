"""What a model is handed of the configuration, which is also what names its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from featurestore.config import Section
from fusion.config import (
    AblationConfig,
    AttentionConfig,
    DiscreteTimeConfig,
    HeadConfig,
    JointConfig,
    MetadataConfig,
    TuningConfig,
)

S = TypeVar("S", bound=Section)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sections of the ablation's configuration that a model has declared, and no others.

    What a digest is made of (`record`) is made of what is handed: a model that reads a section
    without having declared it fails at once, instead of leaving parts that are stale after the
    section has changed.

    Attributes:
        sections: The sections by name.
    """

    sections: Mapping[str, Section]

    @classmethod
    def of(cls, config: AblationConfig, names: Iterable[str]) -> Self:
        """Takes the named sections out of the configuration.

        Where a study is stored is not handed: it decides nothing, and a model that keeps a study
        gets the place by itself.
        """
        sections = {name: getattr(config, name) for name in names}
        if "tuning" in sections:
            sections["tuning"] = config.tuning.model_copy(update={"storage": None})
        return cls(MappingProxyType(sections))

    @property
    def head(self) -> HeadConfig:
        """The fusion head and its training."""
        return self._section("head", HeadConfig)

    @property
    def attention(self) -> AttentionConfig:
        """Attention over bags of tiles."""
        return self._section("attention", AttentionConfig)

    @property
    def joint(self) -> JointConfig:
        """The joint network."""
        return self._section("joint", JointConfig)

    @property
    def discrete_time(self) -> DiscreteTimeConfig:
        """Intervals of time."""
        return self._section("discrete_time", DiscreteTimeConfig)

    @property
    def metadata(self) -> MetadataConfig:
        """Preprocessing of patient columns and embeddings."""
        return self._section("metadata", MetadataConfig)

    @property
    def tuning(self) -> TuningConfig:
        """Inner folds and trials."""
        return self._section("tuning", TuningConfig)

    def record(self, data_root: Path) -> dict[str, Any]:
        """All that the sections decide, as plain JSON.

        A file that a section names stands in it by its content, not by its path.

        Args:
            data_root: Folder that relative paths start from.

        Raises:
            ConfigError: Such a file cannot be read.
        """
        found = {name: section.model_dump(mode="json") for name, section in self.sections.items()}
        if "joint" in self.sections:
            from extractor.finetune.augment import spec  # loads torch

            found["joint"]["augment"] = spec(self.joint.augment, data_root)
        return found

    def _section(self, name: str, kind: type[S]) -> S:
        if name not in self.sections:
            raise LookupError(
                f"the model reads the section {name!r}, which its line in the registry does not "
                f"declare ({', '.join(self.sections) or 'none'})"
            )
        section = self.sections[name]
        assert isinstance(section, kind)
        return section
