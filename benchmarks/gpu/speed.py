"""Images a second: networks alone, each stage alone, and the whole way from files to the store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.material import (
    NOT_MEASURED,
    Sizes,
    backbones_of,
    seconds_each,
    squares_of,
    wait,
    write_pictures,
)
from extractor.backbones import load_backbone
from extractor.config import ExtractConfig
from extractor.device import ComputePlan
from extractor.encoder import Encoder
from extractor.extract import embed_images
from extractor.stages import one_torch_thread
from extractor.transfers import Batch, transfers_of
from featurestore.store import FeatureStore


def encoders_of(sizes: Sizes, plan: ComputePlan) -> list[Encoder]:
    """The networks, ready on the device of a plan."""
    with one_torch_thread():
        backbones = [load_backbone(b, 0, Path()) for b in backbones_of(sizes)]
        encoders = [Encoder(backbone, plan) for backbone in backbones]
        for encoder in encoders:
            encoder.load()
        return encoders


def stages(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """Milliseconds an image of copy, forward and fetch, each alone, and images a second.

    Forward is that of all networks together on a batch that lies on the device already.
    """
    encoders = encoders_of(sizes, plan)
    n = min(encoder.pass_size for encoder in encoders)
    transfers, squares = transfers_of(plan.device), squares_of(sizes, n)
    with torch.inference_mode(), one_torch_thread():
        resident = Batch(squares)
        resident.on(transfers)
        rows = torch.zeros((n, sum(e.identity.dimension for e in encoders)), device=plan.device)

        def forward() -> list[np.ndarray]:
            return [fetch() for fetch in [encoder.begin(resident) for encoder in encoders]]

        each = {
            "copy": lambda: Batch(squares).on(transfers),
            "forward": forward,
            "fetch": lambda: transfers.download(rows)(),
        }
        taken = {
            name: seconds_each(run, plan.device, sizes.seconds) / n for name, run in each.items()
        }
    return {
        "batch_size": {encoder.name: encoder.pass_size for encoder in encoders},
        "images_per_second": 1 / taken["forward"],
        "ms_per_image": {name: 1000 * value for name, value in taken.items()},
    }


def end_to_end(sizes: Sizes, plan: ComputePlan) -> dict[str, Any]:
    """Images a second from files of each size to the store, and the seconds of every stage.

    Seconds of decoding are those of all its threads; forward holds copy, networks and fetch.
    """
    found: dict[str, Any] = {}
    config = ExtractConfig(backbones=backbones_of(sizes))
    for name, size in sizes.files.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            images = write_pictures(folder / "images", sizes.pictures, size)
            encoders = encoders_of(sizes, plan)
            embed_images(
                images.iloc[:2], FeatureStore(folder / "w"), encoders, plan, config, folder
            )
            store = FeatureStore(folder / "store")
            report = embed_images(images, store, encoders, plan, config, folder)
        seconds = {
            stage: report.seconds.get(stage, 0.0) for stage in ("decode", "forward", "write")
        }
        found[name] = {
            "megapixels": size[0] * size[1] / 1e6,
            "images": report.embedded,
            "images_per_second": report.embedded / report.seconds["elapsed"],
            "decoding_threads": plan.decoders,
            "seconds": seconds | {"elapsed": report.seconds["elapsed"]},
        }
    return found


def peak_memory(device: torch.device) -> int | str:
    """Most bytes that were taken on a CUDA device since it was asked last."""
    if device.type != "cuda":
        return NOT_MEASURED
    wait(device)
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak
