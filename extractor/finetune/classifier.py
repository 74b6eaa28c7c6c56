"""The network that is trained: a backbone, its normalisation, and a head with one logit."""

from __future__ import annotations

import math

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from extractor.backbones import Backbone
from featurestore.errors import ConfigError

_HEAD_DEVIATION = 0.01  # small, so that the first logits are the prevalence's


class Classifier(nn.Module):
    """A backbone with a linear head on its pooled features.

    Attributes:
        trunk: The backbone without classifier.
        head: One logit an image.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, prevalence: float, seed: int) -> None:
        """Takes over the backbone's module and starts the head at the prevalence.

        Args:
            backbone: What to train; its module is changed by training.
            prevalence: Share of events among what will be drawn, in (0, 1).
            seed: Seed of the head's weights.
        """
        super().__init__()
        self.trunk = backbone.module
        # Not initialised by torch, which would draw from the caller's generator.
        self.head = nn.utils.skip_init(nn.Linear, backbone.dimension, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.head.weight.normal_(0.0, _HEAD_DEVIATION, generator=generator)
            self.head.bias.fill_(math.log(prevalence / (1 - prevalence)))
        for name in ("mean", "std"):
            values = torch.tensor(getattr(backbone.preprocessing, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (n,) of pictures, uint8 (n, 3, size, size)."""
        return self.head(self.trunk((pictures.float() / 255.0 - self.mean) / self.std))[:, 0]


def set_training_mode(model: Classifier, train_statistics: bool) -> None:
    """Puts the model into training mode, but for normalisations whose statistics are kept.

    Those of frozen blocks are always kept: a block that is not trained should compute what it
    computed before.
    """
    model.train()
    for part in model.modules():
        if isinstance(part, _BatchNorm):
            released = all(p.requires_grad for p in part.parameters())
            part.train(train_statistics and released)


def share_statistics(model: Classifier, device: torch.device) -> Classifier:
    """Makes batch normalisation see the batches of all processes, as that of one process does.

    Raises:
        ConfigError: The device is not CUDA: PyTorch synchronises batch normalisation only there.
    """
    if not any(isinstance(part, _BatchNorm) for part in model.modules()):
        return model
    if device.type != "cuda":
        raise ConfigError(
            "finetune.batch_norm: several processes can train batch statistics on CUDA only; "
            "set it to 'frozen', or start one process"
        )
    return convert_sync_batchnorm(model)
