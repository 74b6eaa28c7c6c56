from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from extractor.backbones import load_backbone
from extractor.config import BackboneConfig, ExtractConfig
from extractor.config_finetune import AugmentConfig
from extractor.device import plan_compute
from extractor.distributed import ProcessGroup
from extractor.encoder import Encoder
from extractor.extract import ExtractionReport, embed_images
from extractor.finetune.augment import augmenter, source_size
from extractor.finetune.batches import as_tensor
from extractor.finetune.views import ViewEncoder, view_identity, view_seed, views_of
from extractor.images import Geometry, decode
from featurestore.errors import ConfigError, LeakageError, StoreError
from featurestore.store.lineage import check_fold, check_unseen
from featurestore.store.store import FeatureStore

MakePictures = Callable[[int], pd.DataFrame]

PLAN = plan_compute("cpu", 16)
AUGMENT = AugmentConfig(dropout=0.5)
CONFIG = ExtractConfig(device="cpu")


def encoder(patients: tuple[str, ...] = (), fold: str = "") -> Encoder:
    config = BackboneConfig(name="test_resnet", weights="random", image_size=32)
    return Encoder(load_backbone(config, 0, Path("/")), PLAN, patients, fold)


def views(n: int, augment: AugmentConfig = AUGMENT) -> tuple[ViewEncoder, ...]:
    return views_of(encoder(), augment, n, Path("/"))


def embed(images: pd.DataFrame, root: Path, *encoders: Encoder | ViewEncoder) -> ExtractionReport:
    return embed_images(images, FeatureStore(root), encoders, PLAN, CONFIG, Path("/"))


def test_views_are_what_the_augmenter_makes_of_the_larger_square(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(5)
    plain, (first, second) = encoder(), views(2)
    report = embed(images, tmp_path / "s", plain, first, second)
    assert report.embedded == 5
    store = FeatureStore(tmp_path / "s")
    vary = augmenter(AUGMENT, 32)
    larger = Geometry(source_size(AUGMENT, 32), plain.geometry.resampling)
    for path, digest in zip(images["path"], images["sha256"], strict=True):
        square = decode(Path(path).read_bytes(), [larger], 10**6)[larger]
        for view in (1, 2):
            varied = vary(as_tensor(square), view_seed(digest, view)).permute(1, 2, 0).numpy()
            expected = plain.embed([np.ascontiguousarray(varied)])
            np.testing.assert_array_equal(store.read(first.identity, [digest], view), expected)


def test_views_stand_beside_the_picture_as_it_is(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(4)
    digests = list(images["sha256"])
    plain, both = encoder(), views(2)
    embed(images, tmp_path / "alone", plain)
    embed(images, tmp_path / "s", plain, *both)
    store = FeatureStore(tmp_path / "s")
    own = store.read(plain.identity, digests)
    np.testing.assert_array_equal(
        own, FeatureStore(tmp_path / "alone").read(plain.identity, digests)
    )
    (identity,) = {view.identity for view in both}
    seen = [own, *(store.read(identity, digests, k) for k in (1, 2))]
    assert len({matrix.tobytes() for matrix in seen}) == 3
    assert store.present(plain.identity, 1) == set()
    assert store.present(identity, 0) == set()
    with pytest.raises(StoreError, match="lacks 4 of 4 images"):
        store.read(identity, digests, 3)


def test_more_views_only_add_rows(tmp_path: Path, make_pictures: MakePictures) -> None:
    images = make_pictures(6)
    root = tmp_path / "s"
    assert embed(images, root, *views(1)).embedded == 6
    assert embed(images, root, *views(1)).reused == 6
    first = FeatureStore(root).read(views(1)[0].identity, list(images["sha256"]), 1)
    report = embed(images, root, *views(3))
    assert (report.embedded, report.reused) == (6, 0)
    store = FeatureStore(root)
    identity = views(3)[0].identity
    np.testing.assert_array_equal(store.read(identity, list(images["sha256"]), 1), first)
    assert sum(rows for _, rows, _ in store.distinct_rows(identity)) == 18
    assert views(0) == ()


def test_neither_company_nor_order_nor_processes_change_a_view(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(11)
    digests = sorted(images["sha256"])
    embed(images, tmp_path / "a", *views(2))

    class Unconnected(ProcessGroup):
        def gather(self, values):  # type: ignore[no-untyped-def]
            return values

    shuffled = images.sample(frac=1, random_state=1)
    for rank in range(2):
        embed_images(
            shuffled, FeatureStore(tmp_path / "b"), [encoder(), *reversed(views(2))],
            dataclasses.replace(PLAN, threads=1), CONFIG, Path("/"),
            workers=Unconnected(rank, 2, rank),
        )  # fmt: skip
    for view in (1, 2):
        a, b = (
            FeatureStore(tmp_path / name).read(views(1)[0].identity, digests, view)
            for name in ("a", "b")
        )
        assert a.tobytes() == b.tobytes()


def test_the_identity_says_how_pictures_were_varied() -> None:
    plain = encoder(("p1", "p2"), "0/1")
    identity = view_identity(plain.identity, AUGMENT, Path("/"))
    assert identity.digest != plain.identity.digest
    record = json.loads(identity.preprocessing)
    assert record.pop("views")["augment"]["dropout"] == 0.5
    assert record == json.loads(plain.identity.preprocessing)
    other = view_identity(plain.identity, AugmentConfig(), Path("/"))
    assert len({identity.digest, other.digest, plain.identity.digest}) == 3
    assert views_of(plain, AUGMENT, 1, Path("/"))[0].identity == identity


def test_what_may_not_be_read_of_an_encoder_may_not_be_read_of_its_views() -> None:
    (view,) = views_of(encoder(("p1", "p2"), "0/1"), AUGMENT, 1, Path("/"))
    check_unseen(view.identity, ["p3"])
    check_fold(view.identity, "0/1")
    with pytest.raises(LeakageError, match="was trained on 1 of those to be scored"):
        check_unseen(view.identity, ["p2", "p3"])
    with pytest.raises(LeakageError, match="was trained for fold 0/1"):
        check_fold(view.identity, "0/2")


def test_seeds_of_views_differ_by_picture_and_number() -> None:
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(50)]
    seeds = [view_seed(digest, view) for digest in digests for view in range(1, 21)]
    assert len(set(seeds)) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert view_seed("ab" * 32, 1) == view_seed("ab" * 32, 1)


def test_neutral_views_are_the_picture_as_it_is(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    neutral = AugmentConfig(
        flips=False, rotation=0, brightness=0, contrast=0, saturation=0, hue=0,
        crop_scale=(1.0, 1.0), blur=0, dropout=0,
    )  # fmt: skip
    images = make_pictures(3)
    plain, (view,) = encoder(), views(1, neutral)
    embed(images, tmp_path / "s", plain, view)
    store, digests = FeatureStore(tmp_path / "s"), list(images["sha256"])
    np.testing.assert_array_equal(
        store.read(view.identity, digests, 1), store.read(plain.identity, digests)
    )


def test_a_pipeline_that_is_not_there_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"gone\.json: No such file"):
        views(1, AugmentConfig(albumentations=Path("gone.json")))


def test_the_virtual_file_has_both_under_names_of_their_own(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    import h5py

    images = make_pictures(3)
    plain, both = encoder(), views(2)
    embed(images, tmp_path / "s", plain, *both)
    with h5py.File(tmp_path / "s" / "features.h5") as file:
        rows = sorted(len(group["embedding"]) for group in file.values())
        assert rows == [3, 6]
        numbers = {tuple(sorted(set(group["view"][:]))) for group in file.values()}
        assert numbers == {(0,), (1, 2)}
