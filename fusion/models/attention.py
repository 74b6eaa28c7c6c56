"""Gated attention over the tiles of a bag, before a fusion head (Ilse, Tomczak & Welling 2018).

Each tile is projected; its weight in the bag is a softmax over the bag of
`w · (tanh(V h) * sigmoid(U h))`; the bag is the weighted sum of its projected tiles, and from there
the head is the one of vectors. A training sees tiles drawn from each bag where a step would not
fit into memory; a score is of all tiles, in parts, by a softmax that is carried along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError
from fusion.config import AttentionConfig, HeadConfig
from fusion.models.heads import FusionHead
from fusion.models.tiles import TileBags


class GatedAttention(nn.Module):
    """Bags to one vector each.

    Attributes:
        project: Tile to its projection: linear and ReLU.
        what: `V`.
        gate: `U`.
        weigh: `w`.
    """

    def __init__(self, width: int, projection: int, hidden: int) -> None:
        """Builds the layers.

        Args:
            width: Numbers of a tile.
            projection: Numbers of a projected tile, and of a bag.
            hidden: Width of the attention.
        """
        super().__init__()
        self.project = nn.Sequential(nn.Linear(width, projection), nn.ReLU())
        self.what = nn.Linear(projection, hidden)
        self.gate = nn.Linear(projection, hidden)
        self.weigh = nn.Linear(hidden, 1)
        # Measured: tiles are copied once, and backward holds some of each activation.
        self._tile_bytes = 4 * (2 * width + 5 * projection + 11 * hidden)

    def tiles_of(self, step_bytes: int, bags: int = 1) -> int:
        """Tiles of each of some bags that fit into a step's memory, with all that is computed.

        Raises:
            ConfigError: Not one.
        """
        most = step_bytes // (self._tile_bytes * bags)
        if not most:
            needed = -(-4 * self._tile_bytes * bags // 1_000_000)
            raise ConfigError(
                f"ablation.attention.memory_mb: not one tile of each of {bags} bags fits into a "
                f"step; take {needed} or more, or a smaller ablation.head.batch_size"
            )
        return most

    def forward(self, bags: TileBags) -> Tensor:
        """Pools bags; shape (n, projection). A row without tiles is zeros."""
        size = self.tiles_of(bags.reader.step_bytes, max(len(bags), 1) if self.training else 1)
        if not self.training:
            return torch.stack([self._whole(bags, row, size) for row in range(len(bags))])
        tiles, owner = bags.drawn(size)
        projected, score = self._scored(tiles)
        weights = _softmax_within(score, owner, len(bags))
        pooled = projected.new_zeros((len(bags), projected.shape[1]))
        return pooled.index_add(0, owner, weights[:, None] * projected)

    def weights(self, bags: TileBags) -> list[np.ndarray]:
        """Weight of every tile in its bag, in the order of the bag; a float64 array a row."""
        size = self.tiles_of(bags.reader.step_bytes)
        with torch.inference_mode():
            return [self._weights(bags.parts(row, size)) for row in range(len(bags))]

    def _weights(self, parts: Iterator[Tensor]) -> np.ndarray:
        scores = [self._scored(tiles)[1].double() for tiles in parts]
        return torch.cat(scores).softmax(dim=0).cpu().numpy() if scores else np.empty(0)

    def _whole(self, bags: TileBags, row: int, size: int) -> Tensor:
        """Pools all tiles of one bag, in parts: sums are scaled by the largest score so far."""
        width = self.what.in_features
        top = torch.full((), -torch.inf, device=bags.device)
        total = torch.zeros((), device=bags.device)
        pooled = torch.zeros(width, device=bags.device)
        for tiles in bags.parts(row, size):
            projected, score = self._scored(tiles)
            above = torch.maximum(top, score.max())
            shrink, weights = (top - above).exp(), (score - above).exp()
            total = total * shrink + weights.sum()
            pooled = pooled * shrink + weights @ projected
            top = above
        return pooled / total if total > 0 else pooled

    def _scored(self, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Projections (t, projection) and scores before the softmax (t,)."""
        projected = self.project(tiles)
        gated = torch.tanh(self.what(projected)) * torch.sigmoid(self.gate(projected))
        return projected, self.weigh(gated).squeeze(1)


class AttentionHead(FusionHead):
    """A fusion head some of whose inputs are bags.

    Attributes:
        bag_names: Names of these modalities.
        pools: Attention of each of them.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        bag_names: Collection[str],
        config: HeadConfig,
        attention: AttentionConfig,
    ) -> None:
        """Builds the layers.

        Args:
            dims: Width of each modality's input; of bags, of a tile.
            bag_names: Modalities that are bags.
            config: Widths and rates.
            attention: Of the attention.
        """
        pooled = {n: config.projection if n in bag_names else width for n, width in dims.items()}
        super().__init__(pooled, config)
        self.bag_names = tuple(name for name in dims if name in bag_names)
        self.pools = nn.ModuleList(
            GatedAttention(dims[name], config.projection, attention.hidden)
            for name in self.bag_names
        )

    def forward(
        self, inputs: Mapping[str, Tensor | TileBags], present: Mapping[str, Tensor]
    ) -> Tensor:
        """Computes the logit of each row; see `FusionHead`."""
        pools = dict(zip(self.bag_names, self.pools, strict=True))
        vectors: dict[str, Any] = {
            name: pools[name](x) if name in pools else x for name, x in inputs.items()
        }
        return super().forward(vectors, present)

    def input_layers(self) -> Iterator[nn.Module]:
        """Layers that see inputs, and may be wide."""
        yield from super().input_layers()
        yield from self.pools.modules()

    def attention(self, inputs: Mapping[str, Tensor | TileBags]) -> dict[str, list[np.ndarray]]:
        """Weight of every tile in its bag; per modality of bags a float64 array a row."""
        found = {}
        for name, pool in zip(self.bag_names, self.pools, strict=True):
            bags = inputs[name]
            assert isinstance(bags, TileBags)
            assert isinstance(pool, GatedAttention)
            found[name] = pool.weights(bags)
        return found


def _softmax_within(score: Tensor, owner: Tensor, bags: int) -> Tensor:
    """Softmax of scores (t,) over the tiles of each bag."""
    top = score.new_full((bags,), -torch.inf).scatter_reduce(0, owner, score.detach(), "amax")
    raised = (score - top[owner]).exp()
    return raised / score.new_zeros(bags).index_add(0, owner, raised)[owner]
