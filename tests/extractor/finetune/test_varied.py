from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from extractor.config_finetune import AugmentConfig
from extractor.finetune.augment import augmenter
from extractor.finetune.varied import numbers_of, varied

NEUTRAL = AugmentConfig(
    flips=False, rotation=0, brightness=0, contrast=0, saturation=0, hue=0, crop_scale=(1, 1),
    blur=0, dropout=0,
)  # fmt: skip
SEEDS = range(24)


def pictures(n: int, side: int) -> torch.Tensor:
    coarse = np.random.default_rng(0).integers(0, 256, (n, 3, 6, 6)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(coarse), (side, side), mode="bilinear"
    )
    return smooth.to(torch.uint8)


@pytest.mark.parametrize(
    "changes",
    [
        {"flips": True, "rotation": 180.0, "crop_scale": (0.3, 1.0)},
        {"crop_scale": (0.7, 0.9), "rotation": 20.0},
        {"brightness": 0.4},
        {"contrast": 0.4},
        {"saturation": 0.4},
        {"hue": 0.3},
        {"blur": 0.6},
        {"dropout": 0.7},
        AugmentConfig(blur=0.5, dropout=0.5).model_dump(),
    ],
    ids=[
        "turned",
        "cropped",
        "brightness",
        "contrast",
        "saturation",
        "hue",
        "blur",
        "blank",
        "all",
    ],
)
@pytest.mark.parametrize(("side", "size"), [(40, 40), (44, 36)])
def test_a_batch_is_varied_as_its_pictures_are_one_by_one(
    changes: dict[str, object], side: int, size: int
) -> None:
    """Grey levels are equal but for roundings; a rounding early on may move later ones by a few."""
    config = AugmentConfig.model_validate(NEUTRAL.model_dump() | changes)
    originals = pictures(len(SEEDS), side)
    alone = augmenter(config, size)
    expected = torch.stack([alone(x, seed) for x, seed in zip(originals, SEEDS, strict=True)])
    table = torch.from_numpy(numbers_of(config, SEEDS, size))
    found = varied(originals, table, config, size)
    assert found.dtype == torch.uint8
    away = (found.int() - expected.int()).abs()
    assert (away > 0).float().mean() < 0.01
    assert away.max() <= 3


def test_neutral_settings_return_the_pictures() -> None:
    originals = pictures(4, 33)
    table = torch.from_numpy(numbers_of(NEUTRAL, range(4), 33))
    assert torch.equal(varied(originals, table, NEUTRAL, 33), originals)


def test_neither_company_nor_memory_layout_changes_a_picture() -> None:
    config = AugmentConfig(blur=0.5, dropout=0.5)
    originals = pictures(5, 40)
    table = torch.from_numpy(numbers_of(config, range(5), 36))
    together = varied(originals, table, config, 36)
    other = originals.contiguous(memory_format=torch.channels_last)
    assert torch.equal(varied(other, table, config, 36), together)
    alone = torch.cat(
        [varied(originals[i : i + 1], table[i : i + 1], config, 36) for i in range(5)]
    )
    assert (alone.int() - together.int()).abs().max() <= 1


def test_it_is_one_graph_for_each_size() -> None:
    """What is compiled on a card has no break and no shape that depends on values."""
    torch.compiler.reset()
    graphs: list[int] = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        graphs.append(len(graph.graph.nodes))
        return graph.forward

    config = AugmentConfig(blur=0.5, dropout=0.5)
    originals, table = pictures(4, 40), torch.from_numpy(numbers_of(config, range(4), 36))
    whole = torch.compile(varied, dynamic=False, fullgraph=True, backend=count)
    for n in (4, 3, 4, 3):
        found = whole(originals[:n], table[:n], config, 36)
        assert torch.equal(found, varied(originals[:n], table[:n], config, 36))
    assert len(graphs) == 2
