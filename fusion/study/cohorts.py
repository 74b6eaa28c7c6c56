"""The cohorts of studies that share their folds, which is one as a rule, and these folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property

import pandas as pd

from featurestore.cohort import (
    Cohort,
    FeatureRows,
    Folds,
    build_cohorts,
    make_folds,
    make_shared_folds,
    patient_groups,
    require_both_sides,
)
from featurestore.sources import ReadContext
from fusion.config import RunConfig


@dataclasses.dataclass(frozen=True, eq=False)
class SourceCohorts:
    """What the sources give to a study, or to several that share their folds; read once.

    Attributes:
        config: Configuration of one of the studies.
        context: Where sources may look.
        features: Embeddings that came from elsewhere.
    """

    config: RunConfig
    context: ReadContext
    features: Callable[[], Sequence[FeatureRows]]

    @cached_property
    def by_outcome(self) -> dict[str, Cohort]:
        """The cohorts by outcome, before any image was decoded in full."""
        own = self.config.cohort
        configs = own.sharing_folds() or {own.find_outcome().name: own}
        progress = self.context.progress
        return build_cohorts(configs, self.config.name, self.context, progress, self.features())

    def folds(self, cohort: Cohort) -> Folds:
        """Folds of one of the cohorts, or of what is left of it.

        Raises:
            DataError: There are too few groups with, or without, an outcome.
        """
        split, seed, what = self.config.folds, self.config.seed, cohort.noun.many
        if not self.config.cohort.folds_with:
            groups = patient_groups(cohort.patients, cohort.images)
            return make_folds(cohort.patients, groups, split.n_folds, split.repeats, seed, what)
        shared = self._shared.among(set(cohort.patients["patient_id"]))
        require_both_sides(shared, cohort.patients, cohort.outcome.name)
        return shared

    @cached_property
    def _shared(self) -> Folds:
        """One assignment of everyone of any outcome."""
        found = list(self.by_outcome.values())
        patients = pd.concat([c.patients[["patient_id", "person_id"]] for c in found])
        tie = ["image_id", "patient_id", "duplicate_cluster"]
        images = pd.concat([c.images[tie] for c in found])
        groups = patient_groups(
            patients.drop_duplicates("patient_id"), images.drop_duplicates("image_id")
        )
        tables = {outcome: cohort.patients for outcome, cohort in self.by_outcome.items()}
        split, seed, what = self.config.folds, self.config.seed, found[0].noun.many
        return make_shared_folds(tables, groups, split.n_folds, split.repeats, seed, what)
