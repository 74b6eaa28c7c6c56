"""What other people bring to a study: models, and predictions that were made outside of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pandas as pd

from featurestore.errors import ConfigError, name_some
from featurestore.sealed import write_sealed_table
from fusion.arms import Modality, further_arms
from fusion.config import AblationConfig, ArmConfig
from fusion.endpoints import find_endpoint
from fusion.evaluation import predictions_table
from fusion.evaluation.outside import Outsider, outside_rows
from fusion.models import Role, names_of, own_names, register_model
from fusion.roles import encoders_of
from fusion.study.matrix import Matrix, matrix_of
from fusion.study.outsiders import drop, keep, kept
from fusion.study.stages import Stages

MOST_LETTERS = 64


class OwnStages(Stages):
    """The stages of a study, with models and predictions of other people among its arms."""

    def add_model(
        self, name: str, estimator: Any, modalities: Sequence[str] = (), **facts: Any
    ) -> None:
        """Registers somebody's model and adds an arm with it to this study.

        Args:
            name: Its name in tables.
            estimator: As `fusion.models.register_model` takes it.
            modalities: What it looks at; everything by default.
            **facts: Further arguments of `register_model`.

        Raises:
            ConfigError: The estimator cannot be a model, or the arm cannot be planned.
        """
        register_model(name, estimator, **facts)
        planned = self._study_plan.ablation
        config = self.config.ablation
        names = tuple(modality.name for modality in planned.modalities)
        endpoint = find_endpoint(self.source_cohort.outcome.kind)
        arm = ArmConfig(model=name, modalities=tuple(modalities))
        known = further_arms(config, names, endpoint)
        arms = (*known, arm) if arm not in known else known
        self._plan_with(config.model_copy(update={"arms": arms}))

    def matrix(
        self, modalities: Sequence[str] | None = None, fold: tuple[int, int] | None = None
    ) -> Matrix:
        """Features, outcomes, groups and folds as arrays, one row a patient.

        Args:
            modalities: Names of modalities; all by default.
            fold: Repeat and outer fold. Embeddings of encoders that are fine-tuned fold by fold are
                other coordinates in every fold, so a matrix with them is of one fold.

        Raises:
            ConfigError: A modality or the fold is unknown, or the matrix must be of one fold.
            LeakageError: An encoder has seen a patient that would be scored.
        """
        known = {modality.name: modality for modality in self._modalities}
        chosen = [_known(known, name) for name in (modalities or known)]
        tuned = {name for own in self.fold_encoders.identities.values() for name in own}
        bound = sorted(tuned & {*encoders_of(name for m in chosen for name in m.embeddings)})
        if fold is not None:
            if fold not in self.folds.keys:
                shown = name_some(self.folds.keys)
                raise ConfigError(f"matrix: there is no fold {fold}; (repeat, fold) is of {shown}")
            return matrix_of(self.features(*fold).pictures(), chosen, self.folds, [fold])
        if bound:
            raise ConfigError(
                f"matrix: {name_some(bound)} is trained anew in every outer fold; ask for one, as "
                f"in fold={self.folds.keys[0]}"
            )
        used = {n: i for n, i in self._embedded.encoders.items() if n not in tuned}
        table = self._reader.read(used, self.folds.patients)
        return matrix_of(table, chosen, self.folds, self.folds.keys)

    def score(
        self, name: str, predictions: pd.DataFrame, modalities: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Takes out-of-fold predictions that were made outside into the table of this study.

        They stay there until `forget`: `ablate` joins them, as long as data and folds are the same.
        What is not fitted yet is fitted first.

        Args:
            name: Name of the arm.
            predictions: See `fusion.evaluation.outside.outside_rows`; `Matrix.predictions` makes
                them.
            modalities: Names of what it looked at, for tables.

        Returns:
            The predictions of all arms.

        Raises:
            ConfigError: The name is taken, or a modality is unknown.
            DataError: The predictions are not those of these patients and folds.
        """
        known = {modality.name: modality for modality in self._modalities}
        looked = [_known(known, one).name for one in modalities]
        taken = {*(arm.name for arm in self.arms), *own_names(), *names_of(*get_args(Role))}
        if name in taken:
            raise ConfigError(f"score: {name!r} is the name of an arm or model; take another")
        if not name.strip() or not name.isprintable() or len(name) > MOST_LETTERS:
            raise ConfigError(f"score: a name has 1 to {MOST_LETTERS} letters, not {name[:80]!r}")
        plan = self._plan
        who = Outsider(name, plan.run_name, "+".join(looked), plan.kind, plan.horizons, plan.config)
        rows = outside_rows(predictions, who, self.folds, self.cohort.target)
        keep(self.paths.outside, name, rows, self._data_digest)
        return self.ablate()

    def forget(self, name: str) -> pd.DataFrame:
        """Takes predictions that were made outside out of the table again.

        Args:
            name: As it was scored.

        Returns:
            The predictions of all other arms.

        Raises:
            ConfigError: Nothing was scored under this name.
        """
        if not drop(self.paths.outside, name):
            scored = [known for known, _ in kept(self.paths.outside, self._data_digest)]
            raise ConfigError(f"forget: {name!r} was not scored; known: {', '.join(scored)}")
        return self.ablate()

    def ablate(self) -> pd.DataFrame:
        """Fits every arm on every fold and writes the out-of-fold predictions table.

        Predictions that outsiders made (`score`) are in it.

        Raises:
            ConfigError: A model was called like predictions that were scored before.
        """
        own = super().ablate()
        tables = [own]
        models = {arm.model for arm in self.arms}
        for name, rows in kept(self.paths.outside, self._data_digest):
            if name in models:
                raise ConfigError(
                    f"score: {name!r} is the name of predictions that were scored, and now of a "
                    f"model; call the model otherwise, or `forget` them"
                )
            if rows is None:
                self.progress.start("score", 1)
                self.progress.finish(
                    f"score: predictions of {name} were made for other data or folds and are left "
                    f"out; make and score them again"
                )
            else:
                tables.append(rows)
        return self._write_predictions(tables) if len(tables) > 1 else own

    def _plan_with(self, ablation: AblationConfig) -> None:
        """Plans anew; what was planned before is forgotten."""
        before = self.config
        self.config = before.model_copy(update={"ablation": ablation})
        self.__dict__.pop("_study_plan", None)
        try:
            _ = self.arms
        except ConfigError:
            self.config = before
            self.__dict__.pop("_study_plan", None)
            raise

    def _write_predictions(self, tables: list[pd.DataFrame]) -> pd.DataFrame:
        joined = predictions_table(tables, self.cohort.outcome.kind)
        write_sealed_table(self.paths.predictions, self.cohort.for_people(joined))
        return joined


def _known(known: Mapping[str, Modality], name: str) -> Modality:
    if name not in known:
        raise ConfigError(f"modality {name!r} is unknown; known: {', '.join(known)}")
    return known[name]
