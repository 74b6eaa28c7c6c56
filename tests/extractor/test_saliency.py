"""Grad-CAM points at what raises the score."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig
from extractor.images import Geometry, fit_square, picture_box
from extractor.saliency import draw_overlays, grad_cam, overlay
from featurestore.errors import ConfigError


def backbone(name: str, size: int = 64) -> Backbone:
    return load_backbone(BackboneConfig(name=name, weights="random", image_size=size), 0, Path())


class Quadrants(torch.nn.Module):
    """Three channels of brightness, average-pooled over a map of 4 x 4."""

    num_features = 3

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x, 16)

    def forward_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def bright_corner() -> np.ndarray:
    square = np.full((64, 64, 3), 60, dtype=np.uint8)
    square[:16, 48:, 0] = 250
    return square


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_heat_lies_where_the_weighted_channel_is_strong(sign: float) -> None:
    whole = backbone("resnet18")
    plain = dataclasses.replace(whole.preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    net = dataclasses.replace(whole, module=Quadrants(), preprocessing=plain, dimension=3)
    heat = grad_cam(net, bright_corner(), np.array([sign, 0.0, 0.0]))
    if sign > 0:
        assert heat[4, 60] == 1.0
        assert heat[60, 4] < 0.3
    else:  # everything lowers the score
        assert heat.max() == 0.0


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "test_convnext"])
def test_it_equals_the_chain_rule_through_the_whole_network(name: str) -> None:
    """An independent way: hooks and a backward pass from the score."""
    net = backbone(name)
    rng = np.random.default_rng(0)
    square = rng.integers(0, 255, size=(64, 64, 3), dtype=np.uint8)
    gradient = rng.normal(size=net.dimension)
    module: Any = net.module
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (
        net.preprocessing.mean, net.preprocessing.std))  # fmt: skip
    x = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255.0
    features = module.forward_features((x - mean) / std)
    features.retain_grad()
    (module.forward_head(features)[0] @ torch.from_numpy(gradient).float()).backward()
    weights = features.grad.mean(dim=(2, 3), keepdim=True)
    small = (weights * features).sum(dim=1)[0].relu().detach().numpy()
    heat = grad_cam(net, square, gradient)
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32
    top = np.unravel_index(np.argmax(heat), heat.shape)
    cell = [int(k * n / 64) for k, n in zip(top, small.shape, strict=True)]
    if small.max() > 0:
        assert heat.max() == pytest.approx(1.0)
        assert small[cell[0], cell[1]] > 0.5 * small.max()
    else:
        assert heat.max() == 0.0


def test_a_transformer_has_no_map() -> None:
    net = backbone("test_vit", 160)
    with pytest.raises(ConfigError, match="no feature map"):
        grad_cam(net, np.zeros((160, 160, 3), dtype=np.uint8), np.ones(net.dimension))


@pytest.mark.parametrize("size", [(90, 40), (40, 90), (64, 64), (500, 3)])
def test_the_overlay_is_the_picture_without_mirrored_margins(size: tuple[int, int]) -> None:
    geometry = Geometry(64, "bilinear")
    picture = Image.new("RGB", size, (0, 200, 0))
    square = fit_square(picture, geometry)
    box = picture_box(size, geometry)
    drawn = overlay(square, np.zeros((64, 64)), box, side=128)
    assert max(drawn.size) == 128
    assert drawn.width / drawn.height == pytest.approx((box[2] - box[0]) / (box[3] - box[1]), 0.02)
    assert np.asarray(drawn)[..., 1].min() >= 199
    warm = np.asarray(overlay(square, np.ones((64, 64)), box, side=64))
    assert warm[..., 0].min() > 100


def test_a_picture_in_which_nothing_raises_the_score_is_said_to_be_cold() -> None:
    net = backbone("resnet18")
    buffer = io.BytesIO()
    Image.new("RGB", (80, 60), (200, 120, 90)).save(buffer, "PNG")
    gradients = {"warm": np.ones(net.dimension), "cold": np.zeros(net.dimension)}
    drawn = draw_overlays(buffer.getvalue(), dict.fromkeys(gradients, net), gradients, 10_000)
    assert drawn.pictures.keys() == gradients.keys()
    assert (drawn.cold, drawn.notes) == ({"cold"}, ())
