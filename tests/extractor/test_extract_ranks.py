"""Several processes extract what one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch.multiprocessing as mp
from processes_example import extract_as_rank, free_port

from extractor.config import BackboneConfig, ExtractConfig
from extractor.distributed import ProcessGroup, Workers
from extractor.extract import ExtractionReport, extract
from featurestore.store.store import FeatureStore

MakePictures = Callable[[int], pd.DataFrame]
TableOf = Callable[[Sequence[Path]], pd.DataFrame]

CONFIG = ExtractConfig(
    backbones=tuple(
        BackboneConfig(name=name, weights="random", image_size=32)
        for name in ("test_resnet", "test_efficientnet")
    ),
    device="cpu",
)


class Unconnected(ProcessGroup):
    """A rank that works on its share and hears nothing of the others."""

    def gather(self, values):  # type: ignore[no-untyped-def]
        return values


def run(images: pd.DataFrame, root: Path, *ranks: Workers) -> list[ExtractionReport]:
    return [
        extract(images, FeatureStore(root), CONFIG, 0, Path("/"), workers=rank) for rank in ranks
    ]


def rows_of(root: Path, report: ExtractionReport, images: pd.DataFrame) -> dict[str, bytes]:
    store = FeatureStore(root)
    digests = sorted(set(images["sha256"]))
    return {name: store.read(i, digests).tobytes() for name, i in report.encoders.items()}


def ranks(n: int) -> list[Workers]:
    return [Unconnected(rank, n, rank, n) for rank in range(n)]


def test_ranks_share_the_contents_and_the_values_are_those_of_one(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(23)
    (alone,) = run(images, tmp_path / "one", Workers())
    reports = run(images, tmp_path / "three", *ranks(3))
    assert [report.embedded for report in reports] != [23, 0, 0]
    assert sum(report.embedded for report in reports) == 23
    assert sum(report.reused for report in reports) == 0
    for report in reports:
        assert report.encoders == alone.encoders
    assert rows_of(tmp_path / "three", alone, images) == rows_of(tmp_path / "one", alone, images)
    store = FeatureStore(tmp_path / "three")
    for identity in alone.encoders.values():  # each rank wrote a shard, and no row twice
        kept = list(store.distinct_rows(identity))
        assert len(kept) == 3
        assert all(rows == len(keep) for _, rows, keep in kept)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 3), (3, 2)])
def test_another_number_of_ranks_goes_on_from_what_is_there(
    tmp_path: Path, make_pictures: MakePictures, before: int, after: int
) -> None:
    images = make_pictures(20)
    (alone,) = run(images, tmp_path / "one", Workers())
    root = tmp_path / "store"
    run(images.iloc[:6], root, *ranks(before))  # one run ended early
    run(images, root, *ranks(before)[:1])  # in another only the first rank got anywhere
    here = len(FeatureStore(root).present(alone.encoders["test_resnet"]))
    assert 6 <= here <= 20
    reports = run(images, root, *ranks(after))
    assert sum(report.embedded for report in reports) == 20 - here
    assert sum(report.reused for report in reports) == here
    assert rows_of(root, alone, images) == rows_of(tmp_path / "one", alone, images)


def test_copies_of_a_content_are_the_work_of_one_rank(
    tmp_path: Path, make_pictures: MakePictures, table_of: TableOf
) -> None:
    paths = [Path(p) for p in make_pictures(5)["path"]]
    copies = [Path(p.with_stem(f"{p.stem}_copy")) for p in paths]
    for path, copy in zip(paths, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    reports = run(table_of([*paths, *copies]), tmp_path / "s", *ranks(2))
    assert sum(report.embedded for report in reports) == 10
    store = FeatureStore(tmp_path / "s")
    identity = reports[0].encoders["test_resnet"]
    assert sum(rows for _, rows, _ in store.distinct_rows(identity)) == 5


def test_images_that_were_never_read_are_refused_once(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    gone = pd.DataFrame({"image_id": ["gone"], "path": ["/nowhere/x.jpg"], "sha256": [""]})
    images = pd.concat([make_pictures(6), gone])
    reports = run(images, tmp_path / "s", *ranks(3))
    assert [[row.image_id for row in report.quarantined] for report in reports] == [
        ["gone"],
        [],
        [],
    ]


def test_cores_are_shared_by_the_processes_of_a_machine() -> None:
    alone = Workers().plan("cpu", 4)
    assert ProcessGroup(0, 8, 0, 1).plan("cpu", 4) == alone
    shared = [ProcessGroup(0, 8, 0, n).plan("cpu", 4).threads for n in (1, 2, 10_000)]
    assert shared == [alone.threads, max(1, alone.threads // 2), 1]
    assert ProcessGroup(0, 8, 0, 2).plan("cpu", 4).pass_size(64) == alone.pass_size(64)


@pytest.mark.slow
def test_two_processes_extract_byte_for_byte_what_one_does(
    tmp_path: Path, make_pictures: MakePictures
) -> None:
    images = make_pictures(30)
    (tmp_path / "empty.jpg").write_bytes(b"")
    spoilt = pd.DataFrame(
        {"image_id": ["empty"], "path": [str(tmp_path / "empty.jpg")], "sha256": ["0" * 64]}
    )
    table = pd.concat([images, spoilt], ignore_index=True)
    (alone,) = run(table, tmp_path / "one", Workers())
    root = str(tmp_path / "two")
    mp.spawn(extract_as_rank, args=(2, free_port(), table, CONFIG, root), nprocs=2)
    told = [Path(f"{root}-{rank}.txt").read_text() for rank in range(2)]
    seconds = ["decode", "elapsed", "forward", "write"]
    assert told == [repr([30, 0, alone.quarantined, seconds])] * 2
    assert rows_of(Path(root), alone, images) == rows_of(tmp_path / "one", alone, images)
    assert run(table, Path(root), Workers())[0].reused == 30
    assert (Path(root) / "features.h5").exists()
    assert len(FeatureStore(Path(root)).quarantined()) == 1


@pytest.mark.slow
def test_nothing_but_spoilt_files_is_an_error_in_every_process(tmp_path: Path) -> None:
    """The second process has nothing to do, and still learns that there is nothing."""
    paths = [tmp_path / f"{i}.jpg" for i in range(2)]
    for path in paths:
        path.write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    table = pd.DataFrame(
        {"image_id": ["0", "1"], "path": [str(p) for p in paths], "sha256": [digest] * 2}
    )
    with pytest.raises(mp.ProcessRaisedException, match="none of the 2 images could be embedded"):
        mp.spawn(
            extract_as_rank,
            args=(2, free_port(), table, CONFIG, str(tmp_path / "s")),
            nprocs=2,
        )
