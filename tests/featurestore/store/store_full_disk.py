"""Writes to a store on a file system of 192 KiB until it is full; run as a child process.

Prints how many operations were refused with one line, and how many rows are there in the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
from store_example import batch, digest, embedding, identity  # noqa: E402

from featurestore.errors import StoreError  # noqa: E402
from featurestore.store.maintenance import pack  # noqa: E402
from featurestore.store.quarantine import QuarantineRow  # noqa: E402
from featurestore.store.store import FeatureStore  # noqa: E402

ROWS = 300


def write(store: FeatureStore, first: int, last: int) -> None:
    with store.writer(identity(), shard_rows=100) as writer:
        writer.append(*batch(range(first, last)))


def is_refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except StoreError as error:
        return "No space left on device" in str(error)
    return False


def check(store: FeatureStore) -> int:
    present = {k for k in range(ROWS) if digest(k) in FeatureStore(store.root).present(identity())}
    rows = FeatureStore(store.root).read(identity(), [digest(k) for k in sorted(present)])
    if not np.array_equal(rows, np.array([embedding(k) for k in sorted(present)])):
        raise SystemExit("a row is wrong")
    if list(store.root.rglob("*.part")):
        raise SystemExit("a temporary file was left")
    return len(present)


def main(folder: Path) -> None:
    store = FeatureStore(folder / "store")
    write(store, 0, 100)
    filler = folder / "filler"
    filler.write_bytes(bytes(120 << 10))  # leaves room for one shard of 25 KB, not for two
    refused = is_refused(lambda: write(store, 100, ROWS))
    kept = check(store)
    if not 100 <= kept < ROWS:
        raise SystemExit(f"{kept} rows are kept, and the disk was full")
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
    quarantined = [QuarantineRow("", str(k), "p" * 200, "r") for k in range(100)]
    for action in (
        lambda: store.quarantine(quarantined),
        store.refresh_virtual,
        lambda: pack(store, folder / "packed.h5"),
    ):
        refused += is_refused(action)
    if check(store) != kept:
        raise SystemExit("a committed row was lost")
    filler.unlink()
    write(store, 100, ROWS)
    store.quarantine(quarantined)
    sys.stdout.write(f"{refused} {check(store)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
