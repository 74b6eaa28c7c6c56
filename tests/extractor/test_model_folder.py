"""Models that a folder describes: built by timm from two files, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.device import plan_compute
from extractor.encoder import Encoder
from extractor.extract import CARD, extract
from extractor.model_folder import find_folder
from extractor.offline import locate_weights
from featurestore.errors import ConfigError, MelafuseError, WeightsError
from featurestore.images.opening import digest_file
from featurestore.store import FeatureStore

ARGUMENTS = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 16,
    "depth": 2,
    "num_heads": 2,
    "init_values": 1e-5,
    "reg_tokens": 2,
    "dynamic_img_size": True,
    "mlp_layer": "timm.layers.SwiGLUPacked",
    "act_layer": "torch.nn.SiLU",
}
OWN = {
    "input_size": [3, 32, 32],
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.2, 0.25],
    "interpolation": "bicubic",
    "license": "cc-by-nc-4.0",
    "classifier": "head",
}
PLAN = plan_compute("cpu", 4)
Change = Callable[[dict[str, Any]], None]


def reference() -> Any:
    """The same model built by timm alone, with a classifier that must be left out."""
    torch.manual_seed(0)
    arguments = ARGUMENTS | {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, **arguments).eval()


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return reference().state_dict()


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A folder as timm's hub has it, with a card."""
    made = tmp_path / "tiny"
    made.mkdir()
    record = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 3,
        "num_features": 16,
        "pretrained_cfg": OWN,
        "model_args": ARGUMENTS,
    }
    (made / "config.json").write_text(json.dumps(record))
    safetensors.torch.save_file(tensors, made / "model.safetensors")
    (made / "README.md").write_text("---\nlicense: other\n---\n# A tiny model\n")
    return made


def changed(folder: Path, change: Change) -> None:
    record = json.loads((folder / "config.json").read_text())
    change(record)
    (folder / "config.json").write_text(json.dumps(record))


def config(**options: Any) -> BackboneConfig:
    return BackboneConfig(**{"name": "mine", "weights": "tiny", **options})


@pytest.mark.parametrize(
    ("pooling", "kept"), [("own", "token"), ("token", "token"), ("avg", "avg")]
)
def test_embeddings_are_those_of_timm(folder: Path, pooling: str, kept: str) -> None:
    backbone = load_backbone(config(pooling=pooling), 0, folder.parent)
    assert (backbone.name, backbone.pooling, backbone.dimension) == ("mine", kept, 16)
    assert backbone.weights.label == "folder(tiny), cc-by-nc-4.0"
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = Encoder(backbone, PLAN).embed([square])[0]
    pixels = (torch.from_numpy(square).permute(2, 0, 1)[None] / 255.0).float()
    mean, std = (torch.tensor(OWN[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.inference_mode():
        tokens = reference().forward_features((pixels - mean) / std)[0]
    expected = tokens[0] if kept == "token" else tokens[3:].mean(dim=0)  # after two registers
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_identity_has_all_that_decides_an_embedding(folder: Path) -> None:
    def digest(**options: Any) -> str:
        backbone = load_backbone(config(**options), 0, folder.parent)
        return Encoder(backbone, PLAN).identity.digest

    base = digest()
    assert digest() == base
    assert digest(pooling="avg") != base
    (folder / "README.md").unlink()
    assert digest() == base
    changed(folder, lambda r: r["model_args"].update(num_heads=4))  # no tensor shows it
    assert digest() != base


def test_licence_and_card_lie_beside_the_embeddings(folder: Path) -> None:
    path = folder.parent / "a.png"
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(path)
    images = pd.DataFrame({"image_id": ["a"], "path": ["a.png"], "sha256": [digest_file(path)[1]]})
    store = FeatureStore(folder.parent / "store")
    settings = ExtractConfig(backbones=(config(),), device="cpu")
    done = extract(images, store, settings, 0, folder.parent)
    identity = done.encoders["mine"]
    assert store.read(identity, list(images["sha256"])).shape == (1, 16)
    card = (store.folder(identity) / CARD).read_text()
    assert card.startswith("Licence: cc-by-nc-4.0\n")
    assert "# A tiny model" in card
    assert "licence" not in identity.backbone


def test_the_licence_of_the_card_where_the_configuration_has_none(folder: Path) -> None:
    changed(folder, lambda r: r["pretrained_cfg"].pop("license"))
    found = find_folder("tiny", folder.parent, download=False)
    assert found is not None
    assert found.card.licence == "other"
    (folder / "README.md").unlink()
    backbone = load_backbone(config(), 0, folder.parent)
    assert backbone.weights.label == "folder(tiny), licence not stated"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(architecture="dinov9"), "timm has no architecture 'dinov9'"),
        (lambda r: r.pop("architecture"), "timm has no architecture 'nothing'"),
        (lambda r: r["model_args"].update(pretrained=True), "may not say pretrained"),
        (lambda r: r["model_args"].update(checkpoint_path="x.pt"), "may not say checkpoint_path"),
        (lambda r: r["model_args"].update(depth=10_000), "'depth' is 10000, more than 256"),
        (lambda r: r["model_args"].update(embed_dim=10**9), "'embed_dim' is 1000000000, more"),
        (lambda r: r["model_args"].update(no_such=1), "timm builds no vit_tiny_patch16_224 of"),
        (lambda r: r["model_args"].update(mlp_layer="os.system"), "timm builds no vit_tiny"),
        (lambda r: r["model_args"].update(x={"y": 1}), "'x' is no plain value"),
        (lambda r: r["model_args"].update(embed_dim=32), "wrong shapes"),
        (lambda r: r["model_args"].update(depth=3), "of another model: "),
        (lambda r: r["pretrained_cfg"].pop("mean"), "does not state the mean"),
        (lambda r: r["pretrained_cfg"].update(input_size=[3, 32, 64]) or
            r["model_args"].pop("img_size"), "pictures are squares"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(folder: Path, change: Change, said: str) -> None:
    changed(folder, change)
    with pytest.raises(MelafuseError, match=said) as caught:
        load_backbone(config(), 0, folder.parent)
    assert "\n" not in str(caught.value)


def test_nothing_but_safetensors_is_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no model\.safetensors; pytorch_model\.bin is a pi"):
        load_backbone(config(), 0, folder.parent)
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read"):
        load_backbone(config(), 0, folder.parent)
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        load_backbone(config(), 0, folder.parent)


def test_words_for_weights_are_no_folders(tmp_path: Path) -> None:
    for word in ("imagenet", "random"):
        (tmp_path / word).mkdir()
        assert find_folder(word, tmp_path, download=False) is None


def test_pooling_that_a_model_lacks() -> None:
    asked = BackboneConfig(name="resnet18", weights="random", pooling="token")
    with pytest.raises(ConfigError, match=r"'resnet18' cannot be pooled by 'token'; it has 'avg'"):
        load_backbone(asked, 0, Path())


class TestHub:
    def test_it_is_asked_only_by_opt_in(self) -> None:
        with pytest.raises(ValueError, match="downloaded only with `download: true`"):
            BackboneConfig(name="hf-hub:some/model")
        with pytest.raises(ValueError, match="has no slash"):
            BackboneConfig(name="a/b")
        with pytest.raises(ValueError, match="has no @"):
            BackboneConfig(name="a@b", weights="models/a")
        with pytest.raises(ConfigError, match="nothing is downloaded unless"):
            find_folder("hf-hub:some/model", Path(), download=False)

    def test_the_short_form(self) -> None:
        made = BackboneConfig.model_validate({"name": "hf-hub:some/model@v1", "download": True})
        assert (made.name, made.weights) == ("model", "hf-hub:some/model@v1")
        assert BackboneConfig.model_validate(made.model_dump()) == made

    def test_a_machine_without_network_is_told_so_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        made = BackboneConfig(name="m", weights="hf-hub:no-such-org-x/none", download=True)
        with pytest.raises(WeightsError, match=r"hf-hub:no-such-org-x/none: not in the hub's cac"):
            load_backbone(made, 0, Path())
        assert locate_weights(made, 0, Path()).state == "download"

    def test_its_files_are_read_as_a_folder_is(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def fetched(repository: str, name: str, revision: str | None) -> str:
            asked.append((repository, name, revision))
            return str(folder / name)

        monkeypatch.setattr("extractor.model_folder.hf_hub_download", fetched)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        made = BackboneConfig(name="m", weights="hf-hub:org/tiny@abc", download=True)
        backbone = load_backbone(made, 0, Path())
        assert backbone.weights.label == "hf-hub:org/tiny@abc, cc-by-nc-4.0"
        assert {name for _, name, _ in asked} == {"config.json", "model.safetensors", "README.md"}
        assert {(r, v) for r, _, v in asked} == {("org/tiny", "abc")}
