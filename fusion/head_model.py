"""The fusion head as a model of an ablation arm: table in, probability out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.numpy
import torch

from featurestore.atomic import replacing, write_text
from featurestore.errors import DataError
from featurestore.folds import inner_split
from fusion._head_inputs import HeadInputs
from fusion._metadata_blocks import Arrays, below
from fusion.arms import Arm, Modality
from fusion.config import HeadConfig, MetadataConfig
from fusion.features import FeatureTable
from fusion.heads import HEADS, FusionHead
from fusion.model import InnerPredictions, by_patient, sigmoid
from fusion.training import predict_logits, seeded, single_thread, train_head

RECORD, ARRAYS = "head_model.json", "head_model.safetensors"
FORMAT = 1


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


class FusionHeadModel:
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

    inner_: InnerPredictions
    choices_: dict[str, Any]
    history_: list[dict[str, float]]

    def __init__(
        self,
        arm: Arm,
        head: HeadConfig,
        metadata: MetadataConfig,
        variant: str = "concat",
    ) -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            head: Architecture and training.
            metadata: Preprocessing of patient columns.
            variant: Key of `heads.HEADS`.
        """
        self.arm = arm
        self.head = head
        self.metadata = metadata
        self.variant = variant
        self._members: list[Member] = []

    def fit(self, table: FeatureTable, seed: int) -> Self:
        """Fits all members.

        Args:
            table: The outer training rows; their order does not matter.
            seed: Decides splits, initialisation, order of rows and dropout.

        Raises:
            DataError: There are too few patients of either outcome, or a modality is absent.
        """
        ordered = table.take(_canonical_order(table))
        self._members, self.history_ = [], []
        chosen: list[dict[str, Any]] = []
        held_out: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        with single_thread():
            for i in range(self.head.ensemble):
                member_seed = int(np.random.SeedSequence([seed, i]).generate_state(1)[0])
                choice, inner = self._fit_member(ordered, i, member_seed)
                chosen.append(choice)
                held_out.append(inner)
        ids, y, logits = (np.concatenate(part) for part in zip(*held_out, strict=True))
        patients, truth, score = by_patient(ids, y, sigmoid(logits))
        self.inner_ = InnerPredictions(patients, truth, sigmoid(score))
        self.choices_ = {
            "variant": self.variant,
            "parameters": sum(p.numel() for p in self._members[0].head.parameters()),
            "members": chosen,
        }
        return self

    def predict_proba(self, table: FeatureTable) -> np.ndarray:
        """Probability for each row, from the mean logit of all members; shape (n,).

        Raises:
            DataError: A backbone or a patient column is absent, or an embedding has another width.
        """
        if len(table) == 0:
            return np.empty(0)
        # In canonical order, because the last bits of a matrix product can depend on the place
        # of a row in it.
        order = _canonical_order(table)
        ordered = table.take(order)
        with single_thread():
            mean = np.mean([member.logits(ordered) for member in self._members], axis=0)
        probability = np.empty(len(table))
        probability[order] = sigmoid(mean)
        return probability

    def save(self, folder: Path) -> None:
        """Writes the fitted model as `head_model.json` and `head_model.safetensors`.

        Raises:
            DataError: The folder cannot be written.
        """
        arrays: Arrays = {}
        members = []
        for i, member in enumerate(self._members):
            record, own = member.inputs.to_state()
            arrays |= {f"{i}.inputs.{k}": v for k, v in own.items()}
            weights = member.head.state_dict()
            arrays |= {f"{i}.head.{k}": v.detach().cpu().numpy() for k, v in weights.items()}
            members.append({"inputs": record, "dims": list(member.dims.items())})
        record = {
            "format": FORMAT,
            "variant": self.variant,
            "arm": dataclasses.asdict(self.arm),
            "head": self.head.model_dump(mode="json"),
            "metadata": self.metadata.model_dump(mode="json"),
            "choices": self.choices_,
            "history": self.history_,
            "inner": {
                "patient_ids": self.inner_.patient_ids.tolist(),
                "y": self.inner_.y.tolist(),
                "probability": self.inner_.probability.tolist(),
            },
            "members": members,
        }
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        try:
            with replacing(folder / ARRAYS) as temporary:
                temporary.write_bytes(safetensors.numpy.save(contiguous))
            write_text(folder / RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            raise DataError(f"cannot write to {folder}: {error.strerror or error}") from None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads a model written by `save`; nothing is unpickled.

        Raises:
            DataError: A file is absent, damaged or of another format.
        """
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            arrays = safetensors.numpy.load_file(folder / ARRAYS)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise DataError(f"cannot read the fitted head in {folder}: {error}") from None
        stated = record.get("format") if isinstance(record, dict) else None
        if stated != FORMAT:
            raise DataError(f"{folder / RECORD}: format {stated!r} is not {FORMAT}; fit it again")
        try:
            return cls._from_record(record, arrays)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            problem = " ".join(str(error).split())
            raise DataError(f"{folder / RECORD} and {ARRAYS} do not fit: {problem}") from None

    @classmethod
    def _from_record(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        made = cls(
            arm=_arm(record["arm"]),
            head=HeadConfig.model_validate(record["head"]),
            metadata=MetadataConfig.model_validate(record["metadata"]),
            variant=record["variant"],
        )
        for i, member in enumerate(record["members"]):
            own = below(f"{i}.", arrays)
            dims = dict(member["dims"])
            head = HEADS[made.variant](dims, made.head)
            weights = {k: torch.from_numpy(v) for k, v in below("head.", own).items()}
            head.load_state_dict(weights)
            head.eval()
            inputs = HeadInputs.from_state(member["inputs"], below("inputs.", own))
            made._members.append(Member(inputs, head, dims))
        made.choices_ = record["choices"]
        made.history_ = record["history"]
        inner = record["inner"]
        made.inner_ = InnerPredictions(
            np.array(inner["patient_ids"]), np.array(inner["y"]), np.array(inner["probability"])
        )
        return made

    def _fit_member(
        self, table: FeatureTable, index: int, seed: int
    ) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Fits one member; returns its choices, and patients, outcome and logits it held out."""
        fraction = self.head.validation_fraction
        held_out = inner_split(table.patient_ids, table.groups, table.y, fraction, seed)
        training, validation = table.take(~held_out), table.take(held_out)
        inputs = HeadInputs.fit(self.arm.modalities, self.metadata, training)
        rows = inputs.transform(training)
        validation_rows = inputs.transform(validation)
        dims = {name: values.shape[1] for name, values in rows.inputs.items()}
        with seeded(seed, torch.device("cpu")):
            head = HEADS[self.variant](dims, self.head)
        result = train_head(head, rows, validation_rows, self.head, seed)
        self._members.append(Member(inputs, head, dims))
        self.history_ += [{"member": float(index), **epoch} for epoch in result.history]
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
        return choice, (validation.patient_ids, validation.y, logits)


def _canonical_order(table: FeatureTable) -> np.ndarray:
    """Rows by patient, then row id."""
    return np.lexsort((table.row_ids.astype(str), table.patient_ids.astype(str)))


def _arm(record: Mapping[str, Any]) -> Arm:
    modalities = tuple(
        Modality(m["name"], tuple(m["embeddings"]), tuple(m["groups"]))
        for m in record["modalities"]
    )
    return Arm(record["name"], record["model"], modalities)
