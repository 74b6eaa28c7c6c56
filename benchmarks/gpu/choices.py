"""What extraction does not do, and what it would bring: the grounds to take it up or leave it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.gpu.agreement import cosines
from benchmarks.gpu.material import (
    NOT_MEASURED,
    Sizes,
    backbones_of,
    seconds_each,
    write_pictures,
)
from extractor.backbones import load_backbone
from extractor.device import ComputePlan
from extractor.images import Geometry
from extractor.precision import compiled_if, computing_in, layout_on
from extractor.reading import Content, Copy, read_content

_PICTURES = 256  # of a pass, as extraction has it


def compiled_networks(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Images a second of each network as it is and compiled, and the least cosine between both."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    shape = (_PICTURES, 3, sizes.image_size, sizes.image_size)
    pixels = torch.rand(shape, device=plan.device).contiguous(memory_format=layout_on(plan.device))
    found = {}
    for config in backbones_of(sizes):
        module = load_backbone(config, 0, Path()).module.to(plan.device)
        module = module.to(memory_format=layout_on(plan.device))
        plain, compiled = (_rate(compiled_if(w, module), pixels, sizes, plan) for w in (0, 1))
        found[config.name] = {
            "plain": plain[0],
            "compiled": compiled[0],
            "minimum_cosine": float(cosines(plain[1], compiled[1]).min()),
        }
    return found


def _rate(
    module: nn.Module, pixels: Tensor, sizes: Sizes, plan: ComputePlan
) -> tuple[float, np.ndarray]:
    def forward() -> Tensor:
        with torch.inference_mode(), computing_in(plan.dtype, plan.device):
            found: Tensor = module(pixels)
            return found

    embeddings = forward().float().cpu().numpy()
    return len(pixels) / seconds_each(forward, plan.device, sizes.seconds), embeddings


def decoding(sizes: Sizes, plan: ComputePlan) -> dict[str, Any] | str:
    """Images a second by size of file: reduced by the CPU's threads, and whole by the card."""
    if plan.device.type != "cuda":
        return NOT_MEASURED
    return {name: _decoding(size, sizes, plan) for name, size in sizes.files.items()}


def _decoding(size: tuple[int, int], sizes: Sizes, plan: ComputePlan) -> dict[str, float]:
    geometry = Geometry(sizes.image_size)

    def read(content: Content) -> object:
        return read_content(content, [geometry], size[0] * size[1])

    with TemporaryDirectory() as scratch:
        images = write_pictures(Path(scratch), 64, size)
        files = [Path(path) for path in images["path"]]
        data = [torch.frombuffer(bytearray(f.read_bytes()), dtype=torch.uint8) for f in files]
        contents = [
            Content(digest, (Copy(file.stem, file),))
            for digest, file in zip(images["sha256"], files, strict=True)
        ]
        with ThreadPoolExecutor(plan.decoders) as pool:
            began = time.perf_counter()
            list(pool.map(read, contents))
            cpu = len(contents) / (time.perf_counter() - began)
    card = seconds_each(lambda: _decode(data, plan.device), plan.device, sizes.seconds)
    return {"cpu_threads": plan.decoders, "cpu": cpu, "card": len(data) / card}


def _decode(data: list[Tensor], device: torch.device) -> list[Tensor]:
    found: list[Tensor] = decode_jpeg(data, mode=ImageReadMode.RGB, device=device)
    return found
