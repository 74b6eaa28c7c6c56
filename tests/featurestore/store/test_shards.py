"""A shard is trusted for its bytes only, and parsed without trusting what it claims."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from store_example import batch, identity

from featurestore.errors import StoreError
from featurestore.store import shards
from featurestore.store.shards import (
    DamagedShard,
    ShardRows,
    decode_columns,
    decode_shard,
    read_checked_shard,
    read_shard,
    write_shard,
)

ENCODER = identity().digest


def rows(n: int = 5, dtype: str = "float32") -> ShardRows:
    sha256s, ids, values = batch(range(n))
    return ShardRows(
        sha256=np.array(sha256s, dtype="S64"),
        view=np.arange(n, dtype=np.int16),
        image_id=np.array([f"{i} é漢" for i in ids], dtype=object),
        embedding=values.astype(dtype),
    )


def rewritten(path: Path, change: Callable[[h5py.File], None]) -> Path:
    """The shard after a change, under the name that its new bytes deserve."""
    buffer = io.BytesIO(path.read_bytes())
    with h5py.File(buffer, "r+") as file:
        change(file)
    data = buffer.getvalue()
    target = path.with_name(f"{hashlib.sha256(data).hexdigest()}.h5")
    target.write_bytes(data)
    return target


def replaced(name: str, **create: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **create)

    return change


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip(tmp_path: Path, dtype: str) -> None:
    written = rows(5, dtype)
    path = write_shard(tmp_path / "shards", ENCODER, written)
    assert path.name == f"{hashlib.sha256(path.read_bytes()).hexdigest()}.h5"
    read = read_checked_shard(path, ENCODER)
    for field in ("sha256", "view", "image_id", "embedding"):
        np.testing.assert_array_equal(getattr(read, field), getattr(written, field))
        assert getattr(read, field).dtype == getattr(written, field).dtype
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_plain_hdf5_tools_read_it_without_filters(tmp_path: Path) -> None:
    with h5py.File(write_shard(tmp_path, ENCODER, rows(600)), "r") as file:
        assert file["embedding"].chunks == (256, 16)
        assert file["embedding"].compression is None
        assert file.attrs["identity"] == ENCODER


def test_bytes_do_not_depend_on_the_process_or_the_time(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:];"
        "from pathlib import Path; from test_shards import *;"
        "write_shard(Path(sys.argv[1]), ENCODER, rows(300))"
    )
    here = Path(__file__)
    folders = [str(here.parent), str(here.parents[1]), str(here.parents[3])]
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a"), *folders], check=True)
    (there,) = (tmp_path / "a").iterdir()
    assert there.name == write_shard(tmp_path / "b", ENCODER, rows(300)).name


def test_checksums_tell_swapped_and_changed_rows() -> None:
    one = rows()
    swapped = ShardRows(one.sha256, one.view, one.image_id, one.embedding[[1, 0, 2, 3, 4]])
    assert (one.checksums() != swapped.checksums()).tolist() == [True, True, False, False, False]
    view = one.view.copy()
    view[4] += 1
    changed = ShardRows(one.sha256, view, one.image_id, one.embedding)
    assert np.flatnonzero(one.checksums() != changed.checksums()).tolist() == [4]


def test_a_row_that_does_not_match_its_checksum_is_found(tmp_path: Path) -> None:
    def spoil(file: h5py.File) -> None:
        file["embedding"][2, 3] += 1

    path = rewritten(write_shard(tmp_path, ENCODER, rows()), spoil)
    assert len(read_shard(path, ENCODER)) == 5  # its name is right
    with pytest.raises(DamagedShard, match="1 rows do not match"):
        read_checked_shard(path, ENCODER)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("embedding", shape=(2**40, 16), dtype="f4", chunks=(256, 16)), "claims"),
        (replaced("sha256", shape=(2**33,), dtype="S64", chunks=(64,)), "claims"),
        (
            replaced("embedding", data=np.zeros((10**6, 16), "f4"), compression="gzip"),
            "claims 64,000,000 bytes",
        ),
        (replaced("embedding", data=np.zeros((4, 16), "f4")), "differ in their number of rows"),
        (replaced("embedding", data=np.zeros(5, "f4")), "has 1 dimensions of type float32"),
        (replaced("view", data=np.zeros(5, "f4")), "of type float32"),
        (replaced("image_id", data=np.zeros(5, "i4")), "of type int32"),
        (
            replaced("view", shape=(5,), dtype="i2", external=[("/etc/passwd", 0, 10)]),
            "not a dataset of the file itself",
        ),
        (lambda f: f.pop("checksum"), "not a dataset of the file itself"),
        (lambda f: f.attrs.pop("identity"), "not a shard"),
        (lambda f: f.attrs.modify("melafuse_shard", 99), "format 99 is not known"),
        (lambda f: f.attrs.modify("identity", "ab" * 32), "belongs to encoder abababababab"),
    ],
)
def test_crafted_shards_are_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], said: str
) -> None:
    path = rewritten(write_shard(tmp_path, ENCODER, rows()), change)
    with pytest.raises(DamagedShard, match=said):
        read_shard(path, ENCODER)


@pytest.mark.parametrize("link", ["external", "soft", "virtual"])
def test_a_shard_may_not_point_to_other_data(tmp_path: Path, link: str) -> None:
    other = write_shard(tmp_path / "other", ENCODER, rows())

    def point_away(file: h5py.File) -> None:
        del file["embedding"]
        if link == "virtual":
            layout = h5py.VirtualLayout((5, 16), "f4")
            layout[:] = h5py.VirtualSource(str(other), "embedding", shape=(5, 16))
            file.create_virtual_dataset("embedding", layout)
        elif link == "external":
            file["embedding"] = h5py.ExternalLink(str(other), "embedding")
        else:
            file["embedding"] = h5py.SoftLink("/checksum")

    path = rewritten(write_shard(tmp_path, ENCODER, rows()), point_away)
    with pytest.raises(DamagedShard, match="not a dataset of the file itself"):
        read_shard(path, ENCODER)


@pytest.mark.parametrize("data", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" * 99, b"x" * 999])
def test_rubbish_is_no_shard(data: bytes) -> None:
    with pytest.raises(DamagedShard, match="not a shard"):
        decode_shard(data)


def test_what_is_not_a_plain_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_shard(tmp_path, ENCODER, rows())
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "link.h5").symlink_to(path)
    for name in ("folder.h5", "link.h5", "missing.h5"):
        with pytest.raises(DamagedShard, match="not a regular file"):
            read_shard(tmp_path / name, ENCODER)
    monkeypatch.setattr(shards, "MAX_SHARD_BYTES", 10)
    with pytest.raises(DamagedShard, match="larger than any shard"):
        read_shard(path, ENCODER)


def test_a_disk_that_changes_bytes_is_noticed_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = shards.read_bytes
    monkeypatch.setattr(shards, "read_bytes", lambda path: honest(path)[:-1] + b"?")
    with pytest.raises(StoreError, match="reads back differently and was not committed"):
        write_shard(tmp_path, ENCODER, rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "layout",
    [
        {"chunks": (4, 16)},
        {"chunks": (3, 16)},
        {"chunks": (4, 5)},
        {"chunks": None},
        {"chunks": (4, 16), "compression": "gzip"},
        {"chunks": (4, 16), "dtype": ">f4"},
        {"chunks": (4, 16), "dtype": "f2"},
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_embeddings_are_read_however_they_lie(layout: dict[str, Any], backwards: bool) -> None:
    expected = np.arange(10 * 16, dtype="f4").reshape(10, 16)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["melafuse_shard"], file.attrs["identity"] = 1, "me"
        field = file.create_dataset("embedding", (10, 16), **{"dtype": "f4"} | layout)
        for row in range(10)[:: -1 if backwards else 1]:
            field[row] = expected[row]
            file.flush()
        for name, dtype in (("sha256", "S64"), ("view", "i2"), ("checksum", "u8")):
            file.create_dataset(name, (10,), dtype=dtype)
        file.create_dataset("image_id", (10,), dtype=h5py.string_dtype())
    found = decode_columns(buffer.getvalue(), "me", ("embedding", "view")).read
    np.testing.assert_array_equal(found["embedding"], expected)
    assert found["view"].tolist() == [0] * 10
