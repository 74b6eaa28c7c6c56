"""Members of an ensemble of fusion heads: how they are fitted for, kept, and read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch

from fusion.arms import Arm
from fusion.config import HeadConfig, MetadataConfig
from fusion.features import Arrays, FeatureTable, below
from fusion.models.head_inputs import HeadInputs
from fusion.models.heads import HEADS, FusionHead
from fusion.models.late_input import read_now
from fusion.models.settings import Settings
from fusion.models.training import HeadData, predict_logits

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
            for name, x in read_now(data.inputs).items()
            if isinstance(x, torch.Tensor)
        }
        self.head.eval()
        self.head({**data.inputs, **vectors}, data.present).sum().backward()
        upstream = {name: x.grad.double().numpy() for name, x in vectors.items()}  # type: ignore[union-attr]
        return self.inputs.embedding_gradients(table, upstream)


class HeadEnsemble:
    """What an ensemble of fusion heads has whatever its outcome; goes before the base of a model.

    Attributes:
        variant: Key of `heads.HEADS`.
    """

    arm: Arm
    settings: Settings

    def __init__(self, arm: Arm, settings: Settings, variant: str = "concat") -> None:
        """Stores the parameters.

        Args:
            arm: Its modalities are the inputs.
            settings: Architecture and training, and preprocessing of patient columns.
            variant: Key of `heads.HEADS`.
        """
        super().__init__(arm, settings)  # type: ignore[call-arg]
        self.variant = variant
        self._members: list[Member] = []

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Returns what outputs need, as a JSON record and arrays; of training patients nothing.

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
    def _without_members(cls, record: Mapping[str, Any]) -> Self:
        """A model of the arm and settings of a record of `to_state`."""
        settings = Settings(
            {
                "head": HeadConfig.model_validate(record["head"]),
                "metadata": MetadataConfig.model_validate(record["metadata"]),
            }
        )
        return cls(Arm.from_record(record["arm"]), settings, record["variant"])

    def _fit_inputs(self, training: FeatureTable) -> HeadInputs:
        """Preprocessing of a member, fitted on its training rows."""
        return HeadInputs.fit(self.arm.modalities, self.settings.metadata, training)

    def _new_head(self, rows: HeadData) -> FusionHead:
        """A head for such rows, not yet trained."""
        return HEADS[self.variant](rows.dims, self.settings.head)

    def _described(self, members: list[dict[str, Any]]) -> dict[str, Any]:
        """Choices of the ensemble, given those of its members."""
        return {
            "variant": self.variant,
            "parameters": sum(p.numel() for p in self._members[0].head.parameters()),
            "members": members,
        }


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
