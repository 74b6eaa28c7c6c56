"""The fusion head on times to an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch

from featurestore.errors import ConfigError
from fusion.arms import Arm
from fusion.endpoints import TIME_TO_EVENT
from fusion.features import Arrays, FeatureTable
from fusion.metrics.survival import EVENT
from fusion.models.head_members import HeadEnsemble, Member, members_from_state
from fusion.models.settings import Settings
from fusion.models.survival.base import BaseSurvivalModel, SurvivalFit
from fusion.models.survival.intervals import patient_hazards
from fusion.models.survival.losses import FITTED_LOSSES, LOSSES, DiscreteLoss, TimesLoss
from fusion.models.survival.patients import Patients, folds_of, patients_of
from fusion.models.survival.training import TimesData, outputs_of, train_times
from fusion.models.threads import single_thread
from fusion.models.training import TrainingResult, seeded


class SurvivalHead(HeadEnsemble, BaseSurvivalModel):
    """A fusion head, or an ensemble of them, on the Cox partial likelihood.

    Each member holds out an inner fold of its own, fits preprocessing and head on the others, and
    stops by Harrell's C of the fold. Outputs are centred on the mean of the member's training
    patients, and averaged over members.
    """

    loss: ClassVar[str] = TIME_TO_EVENT.loss
    _loss: TimesLoss

    def __init__(self, arm: Arm, settings: Settings, variant: str = "concat") -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Architecture and training, and preprocessing of patient columns.
            variant: Key of `heads.HEADS`.

        Raises:
            ConfigError: A setting is of binary outcomes only.
        """
        super().__init__(arm, settings, variant)
        if settings.head.weighted_sampling:
            raise ConfigError(
                "ablation.head.weighted_sampling draws events and non-events equally often, which "
                "times to an event do not have: leave it out"
            )

    def _fit(self, rows: FeatureTable, patients: Patients, seed: int) -> SurvivalFit:
        self._members = []
        self._loss = LOSSES[self.loss](patients.times, self.settings)
        config = self.settings.head
        history: list[dict[str, float]] = []
        chosen: list[dict[str, Any]] = []
        outputs = np.zeros((len(patients), self._loss.outputs))
        seen = np.zeros(len(patients))
        n_folds = max(2, round(1 / config.validation_fraction))
        with single_thread():
            for i in range(config.ensemble):
                turn, fold = divmod(i, n_folds)
                if fold == 0:
                    own = int(np.random.SeedSequence([seed, turn]).generate_state(1)[0])
                    folds = folds_of(patients, n_folds, own)
                member_seed = int(np.random.SeedSequence([seed, i, 1]).generate_state(1)[0])
                result, choice, output = self._fit_member(rows, patients, folds[fold], member_seed)
                history += [{"member": float(i), **epoch} for epoch in result.history]
                chosen.append(choice)
                outputs[folds[fold][1]] += output
                seen[folds[fold][1]] += 1
        choices = self._described(chosen)
        score = np.full(len(patients), np.nan)
        held = seen > 0
        mean = outputs[held] / seen[held][:, None]
        score[held] = self._loss.score(mean[:, 0] if self._loss.outputs == 1 else mean)
        return SurvivalFit(score, choices, history)

    def _score(self, rows: FeatureTable) -> np.ndarray:
        return self._loss.score(self._outputs(rows))

    def _outputs(self, rows: FeatureTable) -> np.ndarray:
        """Mean outputs of the members; shape (n,) or (n, outputs)."""
        with single_thread():
            every = [outputs_of(m.head, m.inputs.transform(rows)) for m in self._members]
        return np.mean(every, axis=0)

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Gradient of each row's log hazard ratio with respect to its embeddings.

        Args:
            table: Rows that have the embeddings; n of them.

        Returns:
            Per backbone a matrix (n, D).
        """
        found: dict[str, np.ndarray] = {}
        share = self.scale_.slope / len(self._members)
        with single_thread():
            for member in self._members:
                for name, own in member.embedding_gradients(table).items():
                    found[name] = found.get(name, 0.0) + own * share
        return found

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns what predictions need beside the scale of risks, as a JSON record and arrays."""
        record, arrays = super().to_state()
        return record, arrays | self._loss.to_arrays()

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds a model for prediction from `to_state` output; its scale is set by the caller.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: Record and arrays do not fit.
        """
        made = cls._without_members(record)
        made._loss = FITTED_LOSSES[cls.loss](arrays)
        made._members = members_from_state(
            record["members"], arrays, made.variant, made.settings.head, made._loss.outputs
        )
        return made

    def _fit_member(
        self,
        rows: FeatureTable,
        patients: Patients,
        fold: tuple[np.ndarray, np.ndarray],
        seed: int,
    ) -> tuple[TrainingResult, dict[str, Any], np.ndarray]:
        """Fits one member; returns its training, its choices, and outputs of what it held out.

        Outputs are of patients, shape (held out, outputs).
        """
        config = self.settings.head
        training, validation = (rows.take(patients.rows_of(part)) for part in fold)
        inputs = self._fit_inputs(training)
        parts = [
            TimesData(inputs.transform(part), patients_of(part)) for part in (training, validation)
        ]
        with seeded(seed, torch.device("cpu")):
            head = self._new_head(parts[0].rows)
            head.widen(self._loss.outputs)
        result = train_times(head, parts[0], parts[1], self._loss, config, seed)
        if self._loss.outputs == 1:
            head.shift(-float(parts[0].patients.mean(outputs_of(head, parts[0].rows)).mean()))
        self._members.append(Member(inputs, head, parts[0].rows.dims))
        best = result.history[result.best_epoch - 1]
        choice = {
            "seed": seed,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "validation_concordance": best["validation_concordance"],
            "training_patients": len(parts[0].patients),
            "validation_patients": len(parts[1].patients),
            "validation_events": int((parts[1].patients.times.event == EVENT).sum()),
            "columns_without_information": inputs.dropped,
        }
        held_out = parts[1].patients.mean(outputs_of(head, parts[1].rows))
        return result, choice, held_out.reshape(len(held_out), self._loss.outputs)


class DiscreteHead(SurvivalHead):
    """A fusion head that gives a hazard for each interval of time (`losses.DiscreteLoss`).

    Hazards need not be proportional: a patient's risk has a course of its own.
    """

    loss: ClassVar[str] = "discrete_time"
    _loss: DiscreteLoss

    def _risk(
        self, rows: FeatureTable, lp: np.ndarray, horizons: np.ndarray, entry: np.ndarray
    ) -> np.ndarray:
        output = self._outputs(rows).reshape(len(rows), self._loss.outputs)
        hazards = patient_hazards(output, rows)
        return self._loss.intervals.risk(hazards, self.scale_, lp, horizons, entry)
