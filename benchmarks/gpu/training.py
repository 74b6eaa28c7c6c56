"""Fine-tuning: seconds an epoch, beside steps on a batch that lies on the device already."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.gpu.material import Sizes, backbones_of, seconds_each, squares_of
from extractor.backbones import load_backbone
from extractor.config_finetune import FinetuneConfig
from extractor.device import ComputePlan, dtype_on
from extractor.finetune import augmenter, source_size
from extractor.finetune.batches import Pictures
from extractor.finetune.checkpoint import CheckpointFolder
from extractor.finetune.classifier import Classifier
from extractor.finetune.loop import Company, train


def epochs(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """Seconds of an epoch, with its validation and checkpoint, of the first network.

    That of a training of three epochs less that of one, halved: what a training does once is not
    in it. The share is the time that bare steps on as many images take, over that of the epoch.
    """
    config = FinetuneConfig(
        backbones=backbones_of(sizes)[:1], batch_size=sizes.batch_size, device=str(plan.device)
    )
    one, three = (_seconds(sizes, config, n) for n in (1, 3))
    each = (three - one) / 2
    bare = _bare_step(sizes, config, plan.device) * sizes.samples / sizes.batch_size
    return {
        "network": sizes.backbones[0],
        "images": sizes.samples,
        "seconds_per_epoch": each,
        "bare_steps_seconds": bare,
        "share_of_bare_rate": bare / each if each > 0 else None,
    }


def _seconds(sizes: Sizes, config: FinetuneConfig, n: int) -> float:
    larger = source_size(config.augment, sizes.image_size)
    varied = squares_of(sizes, 64)
    big = [np.pad(s, ((0, larger - len(s)), (0, larger - len(s)), (0, 0)), "wrap") for s in varied]
    training = _pictures(big, sizes.samples)
    validation = _pictures(varied, max(8, sizes.samples // 10))
    backbone = load_backbone(config.backbones[0], 0, Path())
    augment = augmenter(config.augment, sizes.image_size)
    settings = config.model_copy(update={"epochs": n, "patience": n})
    with tempfile.TemporaryDirectory() as scratch:
        folder = CheckpointFolder(Path(scratch), "benchmark")
        began = time.perf_counter()
        train(backbone, training, validation, augment, settings, 0, folder, Company())
        return time.perf_counter() - began


def _pictures(squares: list[np.ndarray], n: int) -> Pictures:
    labels = (np.arange(n) % 2).astype(np.float32)
    return Pictures([squares[i % len(squares)] for i in range(n)], labels, np.arange(n))


def _bare_step(sizes: Sizes, config: FinetuneConfig, device: torch.device) -> float:
    """Seconds of a forward and backward pass and AdamW, with nothing to decode, vary or copy."""
    model = Classifier(load_backbone(config.backbones[0], 0, Path()), 0.5, 0).to(device).train()
    if device.type == "cuda":
        model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    shape = (sizes.batch_size, 3, sizes.image_size, sizes.image_size)
    pixels = torch.zeros(shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(sizes.batch_size, device=device)
    dtype = dtype_on(device, "auto", "finetune.precision")

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
            logits = model(pixels)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), labels).backward()
        optimiser.step()

    return seconds_each(step, device, sizes.seconds)
