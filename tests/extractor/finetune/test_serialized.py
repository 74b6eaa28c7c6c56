from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from finetune_example import tiny_config, train_tiny

from extractor.config_finetune import AugmentConfig
from extractor.distributed import ALONE
from extractor.finetune.augment import augmenter, spec
from extractor.finetune.serialized import load_pipeline
from featurestore.errors import ConfigError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


@pytest.fixture(scope="module")
def package() -> Any:
    return pytest.importorskip("albumentations", reason="the extra is not installed")


def picture() -> torch.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40))
    return torch.from_numpy(pixels.astype(np.uint8))


def config(name: str) -> AugmentConfig:
    return AugmentConfig(albumentations=Path(name))


@pytest.fixture
def pipeline(package: Any) -> Any:
    return package.Compose(
        [
            package.RandomResizedCrop(size=(32, 32), scale=(0.6, 1.0)),
            package.OneOf([package.HorizontalFlip(p=1), package.Rotate(limit=90, p=1)], p=0.9),
            package.ColorJitter(p=0.8),
            package.GaussNoise(p=0.5),
            package.CoarseDropout(p=0.5),
        ]
    )


@pytest.mark.parametrize("name", ["p.json", "p.yaml", "p.yml"])
def test_a_pipeline_does_what_it_did_where_it_was_written(
    tmp_path: Path, package: Any, pipeline: Any, name: str
) -> None:
    kind = "json" if name.endswith("json") else "yaml"
    package.save(pipeline, tmp_path / name, data_format=kind)
    augment = augmenter(config(name), 32, tmp_path)
    for seed in (0, 7, 2**40 + 3):
        pipeline.set_random_seed(seed % 2**32)
        expected = pipeline(image=picture().permute(1, 2, 0).numpy())["image"]
        np.testing.assert_array_equal(augment(picture(), seed).permute(1, 2, 0), expected)


def test_a_picture_and_a_seed_decide_the_result_in_any_thread(
    tmp_path: Path, package: Any, pipeline: Any
) -> None:
    package.save(pipeline, tmp_path / "p.json")
    augment = augmenter(config("p.json"), 32, tmp_path)
    expected = [augment(picture(), seed) for seed in range(30)]
    assert len({t.numpy().tobytes() for t in expected}) == 30
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: augment(picture(), seed), reversed(range(30))))
    assert all(torch.equal(a, b) for a, b in zip(expected, reversed(found), strict=True))
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]


def test_other_sizes_are_brought_to_that_of_the_backbone(tmp_path: Path, package: Any) -> None:
    package.save(package.HorizontalFlip(p=1.0), tmp_path / "p.json")  # a transform alone
    augment = augmenter(config("p.json"), 16, tmp_path)
    assert tuple(augment(picture(), 0).shape) == (3, 16, 16)
    assert torch.equal(augmenter(config("p.json"), None, tmp_path)(picture(), 0), picture().flip(2))


def test_workers_change_no_byte(tmp_path: Path, package: Any, pipeline: Any) -> None:
    package.save(pipeline, tmp_path / "p.json")
    augment = {"albumentations": str(tmp_path / "p.json")}
    alone, helped = (
        train_tiny(
            tiny_config(epochs=1, augment=augment, workers=workers), tmp_path / str(workers), ALONE
        )
        for workers in (0, 2)
    )
    assert alone.history == helped.history


def test_the_specification_names_the_content_not_the_path(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "c.json").write_text("{ }")
    a, b, c = (spec(config(f"{name}.json"), tmp_path) for name in "abc")
    assert a == b != c
    with pytest.raises(ConfigError, match=r"gone\.json: No such file"):
        spec(config("gone.json"), tmp_path)


def write(folder: Path, transform: object, name: str = "p.json") -> None:
    (folder / name).write_text(json.dumps({"__version__": "2.0.8", "transform": transform}))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "mine.Transform",
        "albumentations.nothing.Flip",
        "Lambda",
        "albumentations.augmentations.transforms.Lambda",
        "albumentations.core.serialization.load",
        "",
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_only_transforms_of_the_package_are_looked_up(
    tmp_path: Path, package: Any, name: str, nested: bool
) -> None:
    named = {"__class_fullname__": name, "p": 1.0, "command": f"touch {tmp_path / 'crater'}"}
    outer = {"__class_fullname__": "Compose", "p": 1.0, "transforms": [named]}
    write(tmp_path, outer if nested else named)
    with pytest.raises(ConfigError, match="is no transform of albumentations") as caught:
        augmenter(config("p.json"), 32, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "crater").exists()


def test_transforms_registered_by_others_are_not_looked_up(tmp_path: Path, package: Any) -> None:
    class Foreign(package.ImageOnlyTransform):  # type: ignore[misc]
        def apply(self, img: np.ndarray, **params: object) -> np.ndarray:
            return img

    registry = package.core.serialization.SERIALIZABLE_REGISTRY
    name = next(key for key, value in registry.items() if value is Foreign)
    try:
        write(tmp_path, {"__class_fullname__": name, "p": 1.0})
        with pytest.raises(ConfigError, match="is no transform of albumentations"):
            load_pipeline(tmp_path / "p.json")
    finally:
        del registry[name]


FILES: dict[str, tuple[str, bytes, str]] = {
    "python tag": (
        "p.yaml",
        b"__version__: 1\ntransform: !!python/object/apply:os.mkdir [crater]\n",
        "cannot be read: ValueError: could not determine a constructor",
    ),
    "no pipeline": ("p.json", b"[1, 2]", "was not written by albumentations.save"),
    "no transform": ("p.json", b'{"transform": 3}', "was not written by albumentations.save"),
    "no json": ("p.json", b"{", "cannot be read: JSONDecodeError"),
    "not text": ("p.json", b"\x80\x04\x95", "cannot be read: UnicodeDecodeError"),
    "too deep": ("p.json", b"[" * 100_000, "cannot be read: ValueError: it is nested too deeply"),
    "pickle": ("p.pkl", b"\x80\x04\x95", "write it as .json or .yaml"),
    "no name": ("p.json", b'{"transform": {"p": 1.0}}', "cannot be loaded: KeyError"),
    "wrong value": (
        "p.json",
        b'{"transform": {"__class_fullname__": "Rotate", "limit": "far", "p": 1.0}}',
        "cannot be loaded: ",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_anything_else_is_one_line(tmp_path: Path, package: Any, case: str) -> None:
    name, content, reason = FILES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        augmenter(config(name), 32, tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipeline_that_fails_on_a_picture_is_one_line(tmp_path: Path, package: Any) -> None:
    package.save(package.Compose([package.CenterCrop(height=90, width=90)]), tmp_path / "p.json")
    with pytest.raises(ConfigError, match=r"Albumentations pipeline .*p\.json: ") as caught:
        augmenter(config("p.json"), 32, tmp_path)(picture(), 0)
    assert "\n" not in str(caught.value)


def test_a_pipeline_must_return_colour_pictures_of_8_bits(tmp_path: Path, package: Any) -> None:
    package.save(package.Compose([package.ToFloat(p=1.0)]), tmp_path / "p.json")
    with pytest.raises(ConfigError, match="does not return RGB of uint8"):
        augmenter(config("p.json"), 32, tmp_path)(picture(), 0)


def test_without_the_extra_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"__class_fullname__": "HorizontalFlip", "p": 1.0})
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match=r"pip install 'melafuse\[albumentations\]'"):
        augmenter(config("p.json"), 32, tmp_path)
