"""The fusion head with attention over bags of tiles, for outcomes of both kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from featurestore.errors import DataError
from fusion.arms import Arm
from fusion.features import FeatureTable
from fusion.models.attention import AttentionHead
from fusion.models.fusion_head import FusionHeadModel
from fusion.models.head_inputs import HeadInputs
from fusion.models.head_members import Member
from fusion.models.heads import FusionHead
from fusion.models.late_input import read_now
from fusion.models.settings import Settings
from fusion.models.survival.fusion_head import SurvivalHead
from fusion.models.threads import single_thread
from fusion.models.tiles import TileReader
from fusion.models.training import HeadData

MEGABYTE = 1_000_000


class Attending:
    """What makes a model of fusion heads one that attends over bags.

    A modality whose embedding's bags are kept is the bag; one that has a vector a row, or patient
    columns, is what it is for any fusion head. All members share one budget of memory.
    """

    arm: Arm
    settings: Settings
    _members: list[Member]
    _tiles: TileReader | None = None

    def attention_weights(self, table: FeatureTable) -> dict[str, list[np.ndarray]]:
        """Weight of every tile in its bag, the mean over members.

        Args:
            table: The rows; n of them.

        Returns:
            Per modality of bags a float64 array a row, in the order of the bag's file; each sums
            to one. A row without tiles has an empty one.
        """
        names = [m.head.bag_names for m in self._members if isinstance(m.head, AttentionHead)]
        found: dict[str, list[Any]] = {name: [0.0] * len(table) for name in names[0]}
        with single_thread():
            for member in self._members:
                assert isinstance(member.head, AttentionHead)
                member.head.eval()
                own = member.head.attention(read_now(member.inputs.transform(table).inputs))
                for name, rows in own.items():
                    share = zip(found[name], rows, strict=True)
                    found[name] = [a + b / len(self._members) for a, b in share]
        return found

    def _fit_inputs(self, training: FeatureTable) -> HeadInputs:
        _require_bags(self.arm, training)
        if self._tiles is None:
            names = training.bags.keys()
            inputs = sum(not names.isdisjoint(m.embeddings) for m in self.arm.modalities)
            self._tiles = TileReader(self.settings.attention.memory_mb * MEGABYTE, inputs)
        metadata = self.settings.metadata
        return HeadInputs.fit(self.arm.modalities, metadata, training, self._tiles)

    def _new_head(self, rows: HeadData) -> FusionHead:
        config, attention = self.settings.head, self.settings.attention
        head = AttentionHead(rows.dims, rows.bag_names, config, attention)
        if self._tiles is not None:
            for pool in head.pools:  # refused now, not in the first step
                pool.tiles_of(self._tiles.step_bytes, config.batch_size)  # type: ignore[operator]
        return head


class AttentionHeadModel(Attending, FusionHeadModel):
    """`FusionHeadModel` with attention over bags."""


class AttentionSurvivalHead(Attending, SurvivalHead):
    """`SurvivalHead` with attention over bags."""


def top_tiles(weights: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """Numbers of the tiles with the largest weights, the largest first."""
    return np.argsort(-np.asarray(weights), kind="stable")[:count]


def _require_bags(arm: Arm, table: FeatureTable) -> None:
    if any(m.embeddings for m in arm.modalities) and not table.bags:
        names = ", ".join(name for m in arm.modalities for name in m.embeddings)
        raise DataError(
            f"{arm.name}: {names} has no bags of tiles to attend over; import it with "
            "`pool: none`, or take fusion_head"
        )
