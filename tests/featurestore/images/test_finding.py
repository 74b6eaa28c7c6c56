"""Image files are found by one key, in every format that is decoded, and masks are told apart."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import DataError
from featurestore.images.finding import IMAGE_SUFFIXES, ImageFolder, image_key
from featurestore.images.opening import FORMATS, inspect_image
from featurestore.images.suffixes import DICOM_SUFFIXES

NOISE = np.random.default_rng(0)


def photograph(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(NOISE.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
    return path


def mask(path: Path, mode: str = "L", high: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.zeros((64, 64), dtype=np.uint8)
    drawn[16:40, 20:50] = high
    Image.fromarray(drawn).convert(mode).save(path)
    return path


def stems(paths: tuple[Path, ...]) -> list[str]:
    return [path.stem for path in paths]


@pytest.mark.parametrize("ending", [".bmp", ".gif", ".webp", ".JPG", ".png", ".tif", ".jp2"])
def test_what_is_decoded_is_found(tmp_path: Path, ending: str) -> None:
    path = photograph(tmp_path / f"a{ending}")
    assert ImageFolder.scan([tmp_path]).files == (path,)
    assert inspect_image(path, 10_000).reason is None


def test_every_decoded_format_has_an_ending() -> None:
    registered = Image.registered_extensions()
    assert {registered[e] for e in IMAGE_SUFFIXES if e not in DICOM_SUFFIXES} == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("X_1_downsampled", "X_1"),
        ("X_1_downsampled.jpg", "X_1"),
        ("X_1.JPG", "X_1"),
        ("X_1.v2.png", "X_1.v2"),
        ("X_2_downsampled.jpg", "X_2_downsampled"),
        ("_downsampled", "_downsampled"),
        ("Mu\u0308ller.bmp", "Müller"),
    ],
)
def test_names_and_ids_have_one_key(name: str, key: str) -> None:
    assert image_key(name, ("_downsampled",), {"X_2_downsampled"}) == key


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
@pytest.mark.parametrize("ending", [".png", ".bmp", ".jpg"])
def test_masks_with_the_names_of_photographs(tmp_path: Path, mode: str, ending: str) -> None:
    for k in range(5):
        photograph(tmp_path / "images" / f"case{k}.jpg")
        if (mode, ending) == ("P", ".jpg"):
            mode = "L"
        mask(tmp_path / "a" / f"case{k}{ending}", mode)
    found = ImageFolder.scan([tmp_path])
    assert len(found.masks) == 5
    assert {p.parent.name for p in found.photographs} == {"images"}
    assert {k: v[0].parent.name for k, v in found.by_id().items()} == {
        f"case{k}": "images" for k in range(5)
    }


def test_masks_by_their_name_and_of_zeros_and_ones(tmp_path: Path) -> None:
    photograph(tmp_path / "p1.jpg")
    photograph(tmp_path / "p1_superpixels.png")
    mask(tmp_path / "p1" / "p1_lesion" / "p1_lesion.bmp", high=1)
    mask(tmp_path / "p2" / "p2_lesion" / "p2_lesion.bmp", high=1)
    found = ImageFolder.scan([tmp_path])
    assert stems(found.photographs) == ["p1"]
    assert sorted(stems(found.masks)) == ["p1_lesion", "p1_superpixels", "p2_lesion"]


def test_dark_grey_and_plain_photographs_are_no_masks(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "black").save(tmp_path / "a.png")
    (tmp_path / "b").mkdir()
    Image.fromarray(NOISE.integers(90, 120, (32, 32), dtype=np.uint8)).save(tmp_path / "b/b.png")
    (tmp_path / "c").mkdir()
    halves = np.zeros((8, 8, 3), dtype=np.uint8)
    halves[:, :4] = (200, 120, 90)
    Image.fromarray(halves).save(tmp_path / "c/c.png")
    assert ImageFolder.scan([tmp_path]).masks == ()


def test_links_are_followed_once_and_keep_their_names(tmp_path: Path) -> None:
    pool = photograph(tmp_path / "pool" / "xyz.jpg").parent
    study = tmp_path / "study"
    study.mkdir()
    (study / "ISIC_1.jpg").symlink_to(pool / "xyz.jpg")
    (study / "more").symlink_to(pool)
    (study / "again").symlink_to(pool)
    (study / "up").symlink_to(tmp_path)
    (study / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found = ImageFolder.scan([study])
    assert sorted(p.name for p in found.files) == ["ISIC_1.jpg", "xyz.jpg"]
    assert [p.name for p in found.broken] == ["gone.jpg"]


def test_folders_pipes_and_hidden_files_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    photograph(tmp_path / "folder.jpg" / "inner.png")
    photograph(tmp_path / "x.jpg").rename(tmp_path / "._x.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = ImageFolder.scan([tmp_path])
    assert [p.name for p in found.files] == ["inner.png"]
    assert found.broken == ()
    with pytest.raises(DataError, match="no such image folder"):
        ImageFolder.scan([tmp_path / "absent"])


def test_of_two_files_of_one_id_the_one_in_colour_counts(tmp_path: Path) -> None:
    for k in range(3):
        photograph(tmp_path / "z_images" / f"case{k}.png")
        (tmp_path / "a_maps").mkdir(exist_ok=True)
        heat = NOISE.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(heat).save(tmp_path / "a_maps" / f"case{k}.png")
    found = ImageFolder.scan([tmp_path])
    assert found.masks == ()  # grey photographs exist
    assert {paths[0].parent.name for paths in found.by_id().values()} == {"z_images"}
