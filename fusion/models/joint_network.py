"""The full hybrid network: pictures through backbones, columns through their encoding, one head.

It is the fusion head of the cached embeddings (`fusion.models.heads`) with the networks that made
them in front, so that one loss reaches all weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from extractor.backbones import Backbone
from extractor.finetune.parts import Parts
from fusion.features import STANDARD_LIMIT, Standardizer
from fusion.models.heads import FusionHead


class Branch(nn.Module):
    """A backbone whose embeddings are standardised as the head expects.

    Attributes:
        trunk: The backbone without classifier.
        dimension: Length of the embedding.
    """

    mean: Tensor
    std: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, backbone: Backbone, standardizer: Standardizer) -> None:
        """Takes over the backbone's module.

        Args:
            backbone: What to train; its module is changed by training.
            standardizer: Fitted on embeddings that this backbone made.
        """
        super().__init__()
        self.trunk = backbone.module
        self.dimension = backbone.dimension
        for name in ("mean", "std"):
            values = torch.tensor(getattr(backbone.preprocessing, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        scale = 1.0 / standardizer.scale_
        self.register_buffer("scale", torch.from_numpy(scale).float())
        self.register_buffer("shift", torch.from_numpy(-standardizer.mean_ * scale).float())

    def forward(self, pictures: Tensor) -> Tensor:
        """Standardised embeddings (n, dimension) of pictures, uint8 (n, 3, size, size)."""
        embedding: Tensor = self.trunk((pictures.float() / 255.0 - self.mean) / self.std)
        standardised = embedding.float() * self.scale + self.shift
        return standardised.clamp(-STANDARD_LIMIT, STANDARD_LIMIT)


class JointNetwork(nn.Module):
    """Branches for pictures and a fusion head.

    Attributes:
        branches: One a backbone.
        head: The fusion head.
        image_modalities: Names of the backbones of each image modality, in their order.
    """

    def __init__(
        self,
        branches: Mapping[str, Branch],
        head: FusionHead,
        image_modalities: Mapping[str, Sequence[str]],
    ) -> None:
        super().__init__()
        self._names = tuple(branches)
        self.branches = nn.ModuleList(branches.values())
        self.head = head
        self.image_modalities = {name: tuple(names) for name, names in image_modalities.items()}

    def embed(self, pictures: Mapping[str, Tensor], parts: Parts) -> dict[str, Tensor]:
        """Standardised embeddings (m, dimension) of m pictures, by backbone.

        Args:
            pictures: By backbone, uint8 (m, 3, side, side).
            parts: What a backbone is given at a time.
        """
        return {
            name: _embedded(branch, parts.of(pictures[name]))
            for name, branch in zip(self._names, self.branches, strict=True)
        }

    def fuse(
        self,
        embeddings: Mapping[str, Tensor],
        rows: Tensor,
        columns: Mapping[str, Tensor],
        present: Mapping[str, Tensor],
    ) -> Tensor:
        """Logits of n rows of which m have a picture.

        Args:
            embeddings: What `embed` returned for the rows with a picture.
            rows: Those rows, in the order of the embeddings; int64 (m,).
            columns: Per modality of patient columns its encoded values (n, width).
            present: Per modality whether a row has it; bool (n,).

        Returns:
            Shape (n,).
        """
        n = len(next(iter(present.values())))
        inputs = dict(columns)
        for modality, names in self.image_modalities.items():
            stacked = torch.cat([embeddings[name] for name in names], dim=1)
            inputs[modality] = stacked.new_zeros((n, stacked.shape[1])).index_copy(0, rows, stacked)
        logits: Tensor = self.head(inputs, present)
        return logits

    def set_training_mode(self, train_statistics: bool) -> None:
        """Training mode, but for the backbones' normalisations where statistics are kept."""
        self.train()
        if not train_statistics:
            for part in self.branches.modules():
                if isinstance(part, _BatchNorm):
                    part.eval()


def _embedded(branch: nn.Module, parts: Sequence[Tensor]) -> Tensor:
    """Embeddings of pictures in parts.

    Activations of a part are computed again in the backward pass (Chen et al. 2016,
    arXiv:1604.06174) and not kept beside those of the others, so the head still sees all rows.
    """
    if len(parts) == 1:
        whole: Tensor = branch(parts[0])
        return whole
    return torch.cat([checkpoint(branch, part, use_reentrant=False) for part in parts])
