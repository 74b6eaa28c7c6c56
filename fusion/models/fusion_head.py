"""The fusion head as a model of an ablation arm: table in, probability out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from fusion.arms import Arm
from fusion.config import HeadConfig, MetadataConfig
from fusion.features import Arrays, FeatureTable, below
from fusion.metrics import sigmoid
from fusion.models.base import BaseModel, FitRecord, InnerPredictions
from fusion.models.head_inputs import HeadInputs
from fusion.models.heads import HEADS, FusionHead
from fusion.models.inner import held_out_part
from fusion.models.settings import Settings
from fusion.models.threads import single_thread
from fusion.models.training import (
    HeadData,
    TrainingResult,
    predict_logits,
    seeded,
    train_head,
)

MAX_LAYERS, MAX_WIDTH = 16, 100_000
"""Bounds of a head that is read back, so that a wrong file cannot ask for any amount of memory."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One fitted head of an ensemble.

    Attributes:
        inputs: Preprocessing, fitted on its inner training rows.
        head: The head.
        dims: Width of each modality's input.
    """

    inputs: HeadInputs
    head: FusionHead
    dims: dict[str, int]

    def logits(self, table: FeatureTable) -> np.ndarray:
        """Logit of each row; shape (n,)."""
        return predict_logits(self.head, self.inputs.transform(table))

    def embedding_gradients(self, table: FeatureTable) -> dict[str, np.ndarray]:
        """Gradient of each row's logit with respect to its embeddings; (n, D) a backbone."""
        data = self.inputs.transform(table)
        vectors = {
            name: x.clone().requires_grad_()
            for name, x in data.inputs.items()
            if isinstance(x, torch.Tensor)
        }
        self.head.eval()
        self.head({**data.inputs, **vectors}, data.present).sum().backward()
        upstream = {name: x.grad.double().numpy() for name, x in vectors.items()}  # type: ignore[union-attr]
        return self.inputs.embedding_gradients(table, upstream)


class FusionHeadModel(BaseModel):
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

    def __init__(self, arm: Arm, settings: Settings, variant: str = "concat") -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Architecture and training, and preprocessing of patient columns.
            variant: Key of `heads.HEADS`.
        """
        super().__init__(arm, settings)
        self.variant = variant
        self._members: list[Member] = []

    def _fit(self, rows: FeatureTable, seed: int) -> FitRecord:
        self._members = []
        history: list[dict[str, float]] = []
        chosen: list[dict[str, Any]] = []
        held_out: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        with single_thread():
            for i in range(self.settings.head.ensemble):
                member_seed = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
                result, choice, inner = self._fit_member(rows, member_seed)
                history += [{"member": float(i), **epoch} for epoch in result.history]
                chosen.append(choice)
                held_out.append(inner)
        ids, y, logits = (np.concatenate(part) for part in zip(*held_out, strict=True))
        choices = {
            "variant": self.variant,
            "parameters": sum(p.numel() for p in self._members[0].head.parameters()),
            "members": chosen,
        }
        return FitRecord(InnerPredictions.of_rows(ids, y, sigmoid(logits)), choices, history)

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

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns what predictions need, as a JSON record and arrays; of training patients nothing.

        Inner predictions, choices and history are not in it.
        """
        members, arrays = members_state(self._members)
        record = {
            "variant": self.variant,
            "arm": dataclasses.asdict(self.arm),
            "head": self.settings.head.model_dump(mode="json"),
            "metadata": self.settings.metadata.model_dump(mode="json"),
            "members": members,
        }
        return record, arrays

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuilds a model for prediction from `to_state` output, also after a trip through JSON.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: Record and arrays do not fit.
        """
        settings = Settings(
            {
                "head": HeadConfig.model_validate(record["head"]),
                "metadata": MetadataConfig.model_validate(record["metadata"]),
            }
        )
        made = cls(Arm.from_record(record["arm"]), settings, record["variant"])
        made._members += members_from_state(record["members"], arrays, made.variant, settings.head)
        return made

    def _fit_inputs(self, training: FeatureTable) -> HeadInputs:
        """Preprocessing of a member, fitted on its training rows."""
        return HeadInputs.fit(self.arm.modalities, self.settings.metadata, training)

    def _new_head(self, rows: HeadData) -> FusionHead:
        """A head for such rows, not yet trained."""
        return HEADS[self.variant](rows.dims, self.settings.head)

    def _fit_member(
        self, table: FeatureTable, seed: int
    ) -> tuple[TrainingResult, dict[str, Any], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Fits one member; returns its training, its choices, and what it held out.

        That is patients, outcome and logits.
        """
        config = self.settings.head
        training, validation = held_out_part(table, config.validation_fraction, seed)
        inputs = self._fit_inputs(training)
        rows = inputs.transform(training)
        validation_rows = inputs.transform(validation)
        with seeded(seed, torch.device("cpu")):
            head = self._new_head(rows)
        result = train_head(head, rows, validation_rows, config, seed)
        self._members.append(Member(inputs, head, rows.dims))
        choice = {
            "seed": seed,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "validation_auroc": result.history[result.best_epoch - 1]["validation_auroc"],
            "training_patients": len(np.unique(training.patient_ids.astype(str))),
            "validation_patients": len(np.unique(validation.patient_ids.astype(str))),
            "columns_without_information": inputs.dropped,
        }
        logits = predict_logits(head, validation_rows)
        return result, choice, (validation.patient_ids, validation.y, logits)


def members_state(members: Sequence[Member]) -> tuple[list[dict[str, Any]], Arrays]:
    """Members of an ensemble as JSON records, one each, and arrays."""
    arrays: Arrays = {}
    records = []
    for i, member in enumerate(members):
        record, own = member.inputs.to_state()
        arrays |= {f"{i}.inputs.{k}": v for k, v in own.items()}
        weights = member.head.state_dict()
        arrays |= {f"{i}.head.{k}": v.detach().cpu().numpy() for k, v in weights.items()}
        records.append({"inputs": record, "dims": list(member.dims.items())})
    return records, arrays


def members_from_state(
    records: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, np.ndarray],
    variant: str,
    config: HeadConfig,
    outputs: int = 1,
) -> list[Member]:
    """Rebuilds members from `members_state` output, also after a trip through JSON.

    Args:
        records: One a member.
        arrays: Their arrays.
        variant: Key of `heads.HEADS`.
        config: Architecture.
        outputs: Outputs of each head.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: Records and arrays do not fit.
    """
    hidden = config.hidden
    widths = [*hidden, outputs, *(width for record in records for _, width in record["dims"])]
    if len(hidden) > MAX_LAYERS or not all(0 < w <= MAX_WIDTH for w in widths):
        raise ValueError(f"a head of layers {hidden} is none that was fitted")
    if not records:
        raise ValueError("it has no member")
    members = []
    for i, record in enumerate(records):
        own = below(f"{i}.", arrays)
        dims = dict(record["dims"])
        weights = {k: torch.from_numpy(v) for k, v in below("head.", own).items()}
        with torch.device("meta"):  # shapes without memory, which a record could ask for
            wanted = HEADS[variant](dims, config)
            wanted.widen(outputs)
        if _shapes(weights) != _shapes(wanted.state_dict()):
            raise ValueError("the weights are of another head than the record's")
        head = HEADS[variant](dims, config)
        head.widen(outputs)
        head.load_state_dict(weights)
        head.eval()
        inputs = HeadInputs.from_state(record["inputs"], below("inputs.", own))
        members.append(Member(inputs, head, dims))
    return members


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape by name; a single number may have been stored as an array of one."""
    return {name: tuple(values.shape) or (1,) for name, values in state.items()}
