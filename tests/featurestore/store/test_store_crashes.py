"""Kills, truncation, flipped bits, full disks, many writers: no row lost, no bad row accepted."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_example import assert_sound, batch, digest, identity

import featurestore.store.index as index_module
import featurestore.store.store as store_module
from featurestore.errors import StoreError
from featurestore.store.store import FeatureStore

WRITER = Path(__file__).with_name("store_writer.py")
KILLER = Path(__file__).with_name("store_killed.py")


def start(root: Path, first: int, last: int, per_shard: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), str(root), str(first), str(last), str(per_shard)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_writer_loses_at_most_the_shard_being_filled(tmp_path: Path) -> None:
    rng = random.Random(0)
    total, per_shard, kills = 600, 4, 0
    store = FeatureStore(tmp_path)
    committed: set[str] = set()
    for _ in range(60):
        missing = store.missing(identity(), [digest(k) for k in range(total)])
        first = total - len(missing) if missing else total
        assert committed <= store.present(identity())
        if first >= total or kills >= 25:
            break
        child = start(tmp_path, first, total, per_shard)
        assert child.stdout is not None
        lines = [child.stdout.readline()]  # it has begun
        time.sleep(rng.uniform(0.0, 0.05))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines()
        child.wait()
        kills += child.returncode == -signal.SIGKILL
        for begun in (int(line) for line in lines if line.strip()):
            committed |= {digest(k) for k in range(begun, min(begun + per_shard, total))}
        assert committed <= assert_sound(FeatureStore(tmp_path))
    assert kills >= 15
    done = start(tmp_path, 0, total, per_shard)
    _, errors = done.communicate(timeout=600)
    assert done.returncode == 0, errors
    assert assert_sound(FeatureStore(tmp_path)) == {digest(k) for k in range(total)}


def one_shard(root: Path) -> tuple[FeatureStore, Path]:
    store = FeatureStore(root)
    with store.writer(identity()) as writer:
        writer.append(*batch(range(20)))
    (path,) = store.shard_paths(identity())
    return store, path


def assert_refused_then_healed(store: FeatureStore) -> None:
    fresh = FeatureStore(store.root)
    assert fresh.present(identity()) == set()
    with pytest.raises(StoreError, match=r"damaged shards, first .* `melafuse store verify`"):
        fresh.read(identity(), [digest(0)])
    with fresh.writer(identity()) as writer:
        writer.append(*batch(range(20)))
    assert assert_sound(fresh) == {digest(k) for k in range(20)}


def test_truncation_at_every_class_of_offset(tmp_path: Path) -> None:
    store, path = one_shard(tmp_path)
    data = path.read_bytes()
    offsets = [0, 1, 7, 8, 64, 95, 96, 512, 2048, len(data) // 2, len(data) - 8, len(data) - 1]
    for offset in offsets:
        path.write_bytes(data[:offset])
        assert_refused_then_healed(store)
    path.write_bytes(data + b"\0")
    assert_refused_then_healed(store)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    _, path = one_shard(tmp_path)
    data = path.read_bytes()
    rng = random.Random(1)
    for position in [0, len(data) - 1, *rng.sample(range(len(data)), 200)]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert FeatureStore(tmp_path).present(identity()) == set(), position
    path.write_bytes(data)
    assert len(assert_sound(FeatureStore(tmp_path))) == 20


def test_a_bit_flipped_while_the_process_runs_is_found_on_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path = one_shard(tmp_path)
    assert len(store.present(identity())) == 20
    state = index_module.state_of(path)
    for module in (index_module, store_module):  # the file looks unchanged
        monkeypatch.setattr(module, "state_of", lambda path: state)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert len(store.present(identity())) == 20
    with pytest.raises(StoreError, match="damaged"):
        store.read(identity(), [digest(3)])


def test_another_encoders_shard_is_refused(tmp_path: Path) -> None:
    store, path = one_shard(tmp_path)
    with store.writer(identity(seed=1)) as writer:
        writer.append(*batch(range(20, 22)))
    stray = store.folder(identity(seed=1)) / "shards" / path.name
    stray.write_bytes(path.read_bytes())
    assert store.present(identity(seed=1)) == {digest(20), digest(21)}


def test_a_linked_shard_is_refused(tmp_path: Path) -> None:
    store, path = one_shard(tmp_path / "store")
    elsewhere = path.rename(tmp_path / path.name)
    path.symlink_to(elsewhere)
    assert FeatureStore(store.root).present(identity()) == set()


def test_a_full_disk_is_one_line_and_keeps_what_was_committed(tmp_path: Path) -> None:
    """A limit on file size makes the kernel refuse the write, as a full disk does."""
    store = FeatureStore(tmp_path)
    with store.writer(identity()) as writer:
        writer.append(*batch(range(5)))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = store.writer(identity())
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        said = r"cannot write a shard .*40 rows are not stored"
        with pytest.raises(StoreError, match=said), writer:
            writer.append(*batch(range(5, 45)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert assert_sound(store) == {digest(k) for k in range(5)}
    assert list(tmp_path.rglob("*.part")) == []
    with store.writer(identity()) as writer:
        writer.append(*batch(range(5, 45)))
    assert len(assert_sound(store)) == 45


def test_a_damaged_shard_is_named_once_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, path = one_shard(tmp_path)
    path.write_bytes(b"")
    fresh = FeatureStore(tmp_path)
    assert fresh.missing(identity(), [digest(0)]) == [digest(0)]
    assert fresh.present(identity()) == set()
    (message,) = caplog.messages
    assert str(path) in message
    assert "run `melafuse store verify`" in message


@pytest.mark.slow
def test_a_full_disk_in_a_small_file_system(tmp_path: Path) -> None:
    enter = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=192k none "$0"'
    try:
        possible = subprocess.run([*enter, mount, str(tmp_path)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `unshare` here")
    if possible.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    script = [sys.executable, str(Path(__file__).with_name("store_full_disk.py")), str(tmp_path)]
    done = subprocess.run(
        [*enter, f'{mount} && exec "$@"', str(tmp_path), *script],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    refused, stored = map(int, done.stdout.split())
    assert refused == 4
    assert stored == 300


@pytest.mark.slow
def test_several_processes_write_overlapping_rows(tmp_path: Path) -> None:
    ranges = [(0, 60), (30, 90), (60, 120), (0, 120)]
    children = [start(tmp_path, first, last, 7) for first, last in ranges]
    for child in children:
        _, errors = child.communicate(timeout=600)
        assert child.returncode == 0, errors
    assert assert_sound(FeatureStore(tmp_path)) == {digest(k) for k in range(120)}


def test_several_processes_quarantine_at_once(tmp_path: Path) -> None:
    command = [sys.executable, str(KILLER), "quarantine", str(tmp_path), "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout == "[0, 0, 0, 0]\n", done.stderr
    assert len(FeatureStore(tmp_path).quarantined()) == 20
