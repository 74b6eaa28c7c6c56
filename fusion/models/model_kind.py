"""What is registered about a model.

Asking is cheap: a model's class is named by where it can be imported from, and is loaded (with
torch, LightGBM, Optuna) when a model is made.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Literal

from featurestore.errors import ConfigError
from featurestore.tables import DataDictionary
from fusion.arms import Arm
from fusion.config import AblationConfig
from fusion.models.clinical_columns import ReferenceColumns
from fusion.models.settings import Settings
from fusion.models.study_location import StudyLocation
from fusion.models.threads import limit_new_libraries

Role = Literal["arm", "clinical reference", "floor"]
"""What a model is for in a table: to be compared, or what every model must beat."""

NOT_OURS = 100
"""Effort of a model that nobody has ranked."""


@dataclasses.dataclass(frozen=True)
class ModelKind:
    """One registered model.

    Attributes:
        target: Its class, or where it can be imported from, as `module:class`. It is called with
            the arm and its `Settings`, and with `location` where it is tuned.
        sections: Sections of the configuration that it is handed and that name its results.
        fixed: Further keyword arguments of the class.
        role: What it is for.
        tuned: Whether it keeps an Optuna study.
        sampled: Whether weighted sampling of heads moves the level of its predictions.
        explained: Whether its inputs are columns and embeddings that can be exchanged.
        permuted: Whether it is fitted on and scored against exchanged outcomes
            (`fusion.evaluation.permutation`).
        weighs_columns: Whether it has parameters of its own for the inputs of its arm, which a
            sample size must support.
        cheap: Whether it is fitted in seconds, so that sensitivity analyses fit it again.
        pictures: Whether it is trained on pictures, by several processes together where there are.
        bags: Whether it attends over bags of tiles.
        effort: What it takes to explain, fit and keep one, by which the simplest of equal arms is
            found: regressions first, then trees (from 30), averages (50) and networks (60).
        gathers: Whether its heads can train as one program with those of other fits.
        needs: A package that is not always there: its module, its name, and the extra that has it.
        columns: Finds the columns of a clinical reference; None for other models.
        outcome: Kind of the outcome, of a model that is no part of melafuse.
        brought: What names such a model, as plain JSON: package, version, class, parameters. Parts
            are named by it. Empty for melafuse's own.
        codec: How such a model is bundled (`fusion.bundle.codecs.Codec`); None where it is not.
    """

    target: str | Callable[..., Any]
    sections: tuple[str, ...]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    role: Role = "arm"
    tuned: bool = False
    sampled: bool = False
    explained: bool = True
    permuted: bool = False
    weighs_columns: bool = True
    cheap: bool = False
    pictures: bool = False
    bags: bool = False
    effort: int = NOT_OURS
    gathers: bool = False
    needs: tuple[str, str, str] | None = None
    columns: Callable[[DataDictionary], ReferenceColumns | None] | None = None
    outcome: str = "binary"
    brought: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    codec: Any = None

    def require_package(self, name: str) -> None:
        """Refuses a model whose package is absent, before anything is fitted.

        Raises:
            ConfigError: It is.
        """
        if self.needs is not None and importlib.util.find_spec(self.needs[0]) is None:
            _, package, extra = self.needs
            raise ConfigError(f"{name} needs {package}: pip install 'melafuse[{extra}]'")

    def load(self) -> Callable[..., Any]:
        """Imports the class."""
        if not isinstance(self.target, str):
            return self.target
        made: Callable[..., Any] = pkgutil.resolve_name(self.target)
        limit_new_libraries()
        return made

    def make(self, arm: Arm, config: AblationConfig, location: StudyLocation | None = None) -> Any:
        """Builds the model of an arm, not yet fitted; it is handed its own sections only.

        Returns:
            What follows the protocol of its kind of outcome.
        """
        keywords = dict(self.fixed) | ({"location": location} if self.tuned else {})
        return self.load()(arm, Settings.of(config, self.sections), **keywords)
