"""The fusion head as a model of an ablation arm: table in, probability out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from fusion.features import FeatureTable
from fusion.metrics import sigmoid
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.head_inputs import HeadInputs
from fusion.models.head_members import HeadEnsemble, Member, members_from_state
from fusion.models.inner import held_out_part
from fusion.models.threads import single_thread
from fusion.models.training import TrainingResult, predict_logits, seeded
from fusion.models.training_together import HeadFit, train


@dataclasses.dataclass(frozen=True)
class _MemberFit(HeadFit):
    """Training of a member, with the preprocessing of its rows."""

    inputs: HeadInputs

    def choice(self, result: TrainingResult) -> dict[str, Any]:
        """What was chosen, plain JSON."""
        return {
            "seed": self.seed,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "validation_auroc": result.history[result.best_epoch - 1]["validation_auroc"],
            "training_patients": len(self.training.patients[0]),
            "validation_patients": len(self.validation.patients[0]),
            "columns_without_information": self.inputs.dropped,
        } | ({"memory": result.notice} if result.notice else {})

    def held_out(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patient, outcome and logit of the validation rows, once the head is trained."""
        rows = self.validation
        return rows.patient_ids, rows.y.numpy().astype(float), predict_logits(self.head, rows)


class FusionHeadModel(HeadEnsemble, BaseModel):
    """A fusion head, or an ensemble of them, behind the `Model` protocol.

    Each member holds out its own inner validation patients, fits preprocessing and head on the
    others, and stops by the AUROC on those held out. The ensemble averages logits.

    Attributes:
        inner_: Predictions of each member on the patients it had held out; a patient that several
            members held out has their mean logit.
        choices_: Variant, number of parameters, columns without information, and per member its
            seed, best epoch and numbers of patients.
        history_: One record an epoch and member, see `training.TrainingResult`.
    """

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        self._members = []
        history: list[dict[str, float]] = []
        chosen: list[dict[str, Any]] = []
        held_out: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        with single_thread():
            for member, result in train(self._member_fits(rows, seed)):
                number = float(len(self._members))
                history += [{"member": number, **epoch} for epoch in result.history]
                chosen.append(member.choice(result))
                held_out.append(member.held_out())
                self._members.append(Member(member.inputs, member.head, member.training.dims))
        ids, y, logits = (np.concatenate(part) for part in zip(*held_out, strict=True))
        inner = InnerPredictions.of_rows(ids, y, sigmoid(logits))
        return FitRecord(inner, self._described(chosen), history)

    def _member_fits(self, table: FeatureTable, seed: int) -> Iterator[_MemberFit]:
        """For each member what it holds out, its preprocessing, and its head before training."""
        config = self.settings.head
        for i in range(config.ensemble):
            own = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
            training, validation = held_out_part(table, config.validation_fraction, own)
            inputs = self._fit_inputs(training)
            rows = inputs.transform(training)
            with seeded(own, torch.device("cpu")):
                head = self._new_head(rows)
            yield _MemberFit(head, rows, inputs.transform(validation), config, own, inputs)

    def _probability(self, rows: FeatureTable) -> np.ndarray:
        with single_thread():
            return sigmoid(np.mean([member.logits(rows) for member in self._members], axis=0))

    def member_logits(
        self, table: FeatureTable, parts: Sequence[np.ndarray] | None = None
    ) -> np.ndarray:
        """Logit of each row by each member; shape (members, n).

        Args:
            table: The rows.
            parts: Integer rows that go through the network together, so that the last bits of a
                logit do not depend on the rows of other parts; by default all rows do.
        """
        logits = np.empty((len(self._members), len(table)))
        with single_thread():
            for own, member in zip(logits, self._members, strict=True):
                data = member.inputs.transform(table)
                for rows in [np.arange(len(table))] if parts is None else parts:
                    own[rows] = predict_logits(member.head, data.take(rows))
        return logits

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Gradient of each row's mean logit with respect to its embeddings.

        Args:
            table: Rows that have the embeddings; n of them.

        Returns:
            Per backbone a matrix (n, D).
        """
        found: dict[str, np.ndarray] = {}
        with single_thread():
            for member in self._members:
                for name, own in member.embedding_gradients(table).items():
                    found[name] = found.get(name, 0.0) + own / len(self._members)
        return found

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds a model for prediction from `to_state` output, also after a trip through JSON.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: Record and arrays do not fit.
        """
        made = cls._without_members(record)
        made._members += members_from_state(
            record["members"], arrays, made.variant, made.settings.head
        )
        return made
