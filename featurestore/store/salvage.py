"""What can still be told of a damaged shard.

Corrupt bytes can hang the HDF5 library, so they are parsed in a child process with a time limit:
`python -m featurestore.store.salvage SHARD` writes the rows as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from featurestore.store.shards import DamagedShard, decode_shard, read_bytes

UNREADABLE = "not one row can be read"


@dataclasses.dataclass(frozen=True)
class SalvagedRow:
    """One row of a damaged shard.

    Attributes:
        sha256: Digest of the image, as far as it is right.
        image_id: Id of the image, as far as it is right.
        intact: Whether the row matches its checksum.
    """

    sha256: str
    image_id: str
    intact: bool


@dataclasses.dataclass(frozen=True)
class Salvage:
    """Rows of a damaged shard, or why they cannot be told."""

    rows: tuple[SalvagedRow, ...]
    problem: str = ""


def salvage(path: Path, timeout_s: float) -> Salvage:
    """Parses a damaged shard in a child process that has `timeout_s` seconds."""
    command = [sys.executable, "-m", "featurestore.store.salvage", str(path.absolute())]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            cwd=Path(__file__).resolve().parents[2],
        )
    except subprocess.TimeoutExpired:
        return Salvage((), f"{UNREADABLE} within {timeout_s:g} s")
    if done.returncode != 0:
        return Salvage((), UNREADABLE)
    return Salvage(tuple(SalvagedRow(*row) for row in json.loads(done.stdout)))


def _tell(path: Path) -> list[tuple[str, str, bool]]:
    """Runs in the child."""
    _, rows, checksums = decode_shard(read_bytes(path))
    intact = (rows.checksums() == checksums).tolist()
    return list(zip(rows.digests(), map(str, rows.image_id), intact, strict=True))


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_tell(Path(sys.argv[1]))))
    except DamagedShard:
        sys.exit(1)
